-- Move one job that waits to the end of a queue, changed or as it is. All of it happens, or nothing.
--
-- KEYS  1 queues (SET)   2 suspects (SET)   3, 4 lists of suspects, 5 the queue   6 the queue that
--       gets it
-- ARGV  1 name of the queue   2 name of the one that gets it   3 the job   4 as it is then
-- Returns  1; 0 when it does not wait any more, or has changed
local queues, suspects, target = KEYS[1], KEYS[2], KEYS[6]
local one_death, several = KEYS[3], KEYS[4]
local guarded = suspects
-- include guard
-- Whether the target takes it shows before the job is taken away.
local pushed = redis.pcall('RPUSH', target, ARGV[4])
if type(pushed) == 'table' then
  if not string.find(pushed.err, 'WRONGTYPE', 1, true) then return pushed end
  return redis.error_reply('WRONGTYPE ' .. target .. ' is not a list')
end
local removed = 0
for i = 3, 5 do
  local found = removed == 0 and redis.pcall('LREM', KEYS[i], 1, ARGV[3])
  if type(found) == 'number' then removed = found end
end
if removed == 0 then
  redis.call('RPOP', target)
  return 0
end
redis.pcall('SADD', queues, ARGV[2])
if redis.call('EXISTS', one_death, several) == 0 then redis.pcall('SREM', suspects, ARGV[1]) end
return 1
