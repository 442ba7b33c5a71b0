-- Take the ledger of a dead process away from it: should it come back, it can settle nothing.
--
-- KEYS  1 ledger (HASH)   2 buried (ZSET)
-- ARGV  1 process id   2 for how many seconds it is remembered that the process was buried
-- Returns  every field and value of the ledger, as HGETALL does; {} when there is none
local state = redis.call('HGET', KEYS[1], 'state')
if state then
  if string.sub(state, 1, 6) ~= 'fenced' then
    redis.call('HSET', KEYS[1], 'state', 'fenced ' .. state)
  end
  -- The ledger will be gone: this tells the process, should it come back, that its jobs were moved.
  local now = tonumber(redis.call('TIME')[1])
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2])
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return redis.call('HGETALL', KEYS[1])
