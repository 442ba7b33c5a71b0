-- Go through the oldest entries of the failed list: drop, keep or change each, and push its job.
--
-- What is kept goes to the end. Once round, the list is in its old order, and every step was cheap:
-- to change an entry amid a million, Redis has to walk to it.
--
-- KEYS  1 failed (LIST)   2 queues (SET)   3.. for each entry the queue of its job (LIST); the failed
--       list where no job is pushed
-- ARGV  for each entry five: the entry as it was read, what is kept of it ('' to drop it),
--       'push' or '', queue name, the job
-- Returns  how many jobs could not be pushed, their entries being kept as they were; -1 when other
--          entries are the oldest by now: nothing was done
local count = #ARGV / 5
local entries = redis.call('LRANGE', KEYS[1], 0, count - 1)
if #entries < count then return -1 end
for i = 1, count do
  if entries[i] ~= ARGV[5 * i - 4] then return -1 end
end

local refused = 0
for i = 1, count do
  local a = 5 * i - 4
  local kept = ARGV[a + 1]
  if ARGV[a + 2] == 'push' then
    -- An error, say a key that is no list, must not end the script half way.
    local pushed = redis.pcall('RPUSH', KEYS[2 + i], ARGV[a + 4])
    if type(pushed) == 'number' then
      redis.call('SADD', KEYS[2], ARGV[a + 3])
    else
      kept = entries[i]
      refused = refused + 1
    end
  end
  if kept ~= '' then redis.call('RPUSH', KEYS[1], kept) end
end
redis.call('LTRIM', KEYS[1], count, -1)
return refused
