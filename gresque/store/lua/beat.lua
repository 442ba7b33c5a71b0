-- A worker process says that it lives, what it runs, and asks who has died.
--
-- KEYS  1 ledgers (ZSET)   2 workers:heartbeat (HASH)   3 running (STRING)
-- ARGV  1 process id   2 worker id   3 now, epoch milliseconds by the server's clock
--       4 the same in ISO 8601   5 what runs, or ''   6 seconds until that expires
--       7 processes without a beat since this epoch millisecond are dead
-- Returns  {1 while the process is registered or 0, dead process, …}
local alive = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
if alive == 1 then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
  if ARGV[5] ~= '' then redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[6]) end
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[7], 'LIMIT', 0, 100)
return {alive, unpack(dead)}
