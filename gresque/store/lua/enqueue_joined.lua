-- Push the jobs of several callers, once: the numbers are those of enqueue.lua, and a call that is
-- sent again answers as the first time. What one queue refuses (a key of another type) fails none
-- of the others.
--
-- KEYS  1 producer (HASH)   2 queues (SET)   3.. the queues (LISTs)
-- ARGV  1 slot   2 number of this call   3 how many queues   4 seconds until the producer expires
--       5 1 to count these from now on; for a new slot they always are
--       6.. for each queue: its name, how many jobs, the jobs
-- Returns  1; 0 when it was done before, or is so late that another call has used the slot since; or
--          with blanks between the positions of the queues that took none of their jobs
local producer, queues = KEYS[1], KEYS[2]
local A, call, pcall, answer = ARGV, redis.call, redis.pcall, ARGV[1] .. ':answer'
local number, last = (function()
-- include take_number
  return number, last
end)()
if not last then -- done before: only what is not the rule was kept
  local kept, text = string.match(call('HGET', producer, answer) or '', '^(%d+) (.*)$')
  return kept == A[2] and text or 0
end
local refused, at = {}, 6
for n = 1, A[3] do
  local after = at + 2 + A[at + 1]
  local done = pcall('SADD', queues, A[at])
  if type(done) == 'number' then done = pcall('RPUSH', KEYS[n + 2], unpack(A, at + 2, after - 1)) end
  if type(done) ~= 'number' then refused[#refused + 1] = n end
  at = after
end
if #refused == 0 then return 1 end
local text = table.concat(refused, ' ')
pcall('HSET', producer, answer, A[2] .. ' ' .. text)
return text
