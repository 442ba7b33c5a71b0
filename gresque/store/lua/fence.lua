-- Take the ledger of a dead process away from it: should it come back, it can settle nothing.
--
-- KEYS  1 ledger (HASH)   2 buried (ZSET)   3 ledgers (ZSET)
-- ARGV  1 process id   2 seconds without a burial after which all of them are forgotten
--       3 the score in `ledgers` by which the process was judged dead; absent when it is known to
--       be dead
-- Returns  every field and value of the ledger, as HGETALL does; {} when there is none;
--          {'alive'} when the process has beaten since: nothing was done
if ARGV[3] then
  local beat = redis.call('ZSCORE', KEYS[3], ARGV[1])
  if beat and tonumber(beat) ~= tonumber(ARGV[3]) then return {'alive'} end
end
local KEPT = 10000 -- burials that are remembered
local state = redis.call('HGET', KEYS[1], 'state')
if state then
  if string.sub(state, 1, 6) ~= 'fenced' then
    redis.call('HSET', KEYS[1], 'state', 'fenced ' .. state)
  end
  -- The ledger will be gone: this tells the process, should it come back, that its jobs were moved.
  -- How many burials are kept does not depend on the clock, nor does their order: scores only rise.
  local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
  local now = math.max(tonumber(redis.call('TIME')[1]), (newest or 0) + 0.001)
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -KEPT - 1)
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return redis.call('HGETALL', KEYS[1])
