-- Take a unique job out of the place where it waits, and release its lock.
--
-- KEYS  1 queues (SET)   2 later (ZSET)   3 later:jobs (HASH)   4-6 all lists in which jobs of its
--       queue wait   7.. the keys of the effect on its lock
-- ARGV  1 the item, to remove every copy of it from the lists; '' where it waits in `later`
--       2 its name there   3 the kind of the effect   4, 5 its arguments a and b (effects.lua)
-- Returns  how many were removed; where none was, the lock stays
local queues, later, jobs, lock = KEYS[1], KEYS[2], KEYS[3], KEYS[7]
local removed = 0
if ARGV[1] == '' then
  redis.call('ZREM', later, ARGV[2])
  removed = redis.call('HDEL', jobs, ARGV[2])
else
  for i = 4, 6 do removed = removed + redis.call('LREM', KEYS[i], 0, ARGV[1]) end
end
-- include unlock
-- include pass_on
-- include end_by_hand
if removed > 0 then
  -- Arguments that the job should have taken at its start are its own, so they go with it.
  if redis.pcall('HGET', lock, 'id') == ARGV[5] then redis.pcall('HDEL', lock, 'payload') end
  end_by_hand(ARGV[3], 7, ARGV[4], ARGV[5], queues)
end
return removed
