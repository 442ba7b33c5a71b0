-- A worker process leaves: its ledger goes, if nothing is left in it.
--
-- KEYS  1 ledgers (ZSET)   2 ledger (HASH)   3 running (STRING)   4 orders (LIST)
--       5 processes (HASH)
-- ARGV  1 process id
-- Returns  how many jobs stand in the ledger; above 0 nothing was removed
local left = redis.call('HLEN', KEYS[2]) - 1
if left <= 0 then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[5], ARGV[1])
end
return math.max(left, 0)
