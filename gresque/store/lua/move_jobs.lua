-- Move jobs that wait in one queue to the end of another, in their order. Suspects stay among
-- themselves: they go to the other queue's list of those that saw as many deaths.
--
-- KEYS  1 queues (SET)   2 suspects (SET)   3, 4 lists of suspects, 5 the queue   6, 7, 8 the same of
--       the queue that gets them
-- ARGV  1 name of the queue   2 name of the one that gets them   3 how many to move at most
-- Returns  how many were moved; when it is less than asked for, none are left
local queues, suspects, FIRST, TO = KEYS[1], KEYS[2], 3, 3
local guarded = suspects
-- include guard
local moved, most = 0, tonumber(ARGV[3])
for i = FIRST, FIRST + 2 do
  local before = moved
  while moved < most do
    local job = redis.pcall('LMOVE', KEYS[i], KEYS[i + TO], 'LEFT', 'RIGHT')
    if type(job) == 'table' and job.err then
      if not string.find(job.err, 'WRONGTYPE', 1, true) then return job end
      return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' or ' .. KEYS[i + TO] .. ' is not a list')
    end
    if not job then break end
    moved = moved + 1
  end
  if moved > before then
    redis.pcall('SADD', queues, ARGV[2])
    if i < FIRST + 2 then redis.pcall('SADD', suspects, ARGV[2]) end
  end
end
if redis.call('EXISTS', KEYS[FIRST], KEYS[FIRST + 1]) == 0 then redis.pcall('SREM', suspects, ARGV[1]) end
return moved
