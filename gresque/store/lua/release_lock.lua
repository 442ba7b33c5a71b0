-- Release a lock by hand, if the job that was read still holds it. Jobs that wait for it are due
-- now, and the first of them to start takes it. A further run of the job is enqueued at once, and
-- so is a payload that the job should have taken at its start.
--
-- KEYS  1 the lock (HASH)   2 those that wait for it (ZSET)   3 later (ZSET)   4 queues (SET)
--       5 the queue of a further run (LIST)
-- ARGV  1 the job that held it   2 name of the queue
-- Returns  1; 0 when another job holds it, or none
local lock, waiting, later, queues, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local guarded = later
-- include guard
-- include now_ms
if (redis.call('HGET', lock, 'id') or '') ~= ARGV[1] then return 0 end
local held = redis.call('HMGET', lock, 'again', 'payload')
local run = ARGV[2] ~= '' and (held[1] or held[2])
if run then
  redis.call('RPUSH', queue, run)
  redis.pcall('SADD', queues, ARGV[2])
end
redis.call('DEL', lock)
local now = now_ms(math.floor)
for _, member in ipairs(redis.call('ZRANGE', waiting, 0, 999)) do
  redis.call('ZADD', later, 'XX', now, member)
end
redis.call('DEL', waiting)
return 1
