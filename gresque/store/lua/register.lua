-- Make a worker process known and give it its ledger.
--
-- KEYS  1 workers (SET)   2 worker:<id>:started   3 ledgers (ZSET)   4 ledger (HASH)
--       5 workers:heartbeat (HASH)   6 processes (HASH)   7 masters (HASH)
-- ARGV  1 worker id   2 start time of the master   3 process id   4 heartbeat (ISO 8601)
--       5 the heartbeat's epoch milliseconds   6 the totals to start from, as in the ledger's state
--       7 where the process can be found, '' when that is not known for sure
-- Returns  1
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[5], ARGV[1], ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[3])
redis.call('HSET', KEYS[4], 'state', '0 ' .. ARGV[6])
if ARGV[7] ~= '' then redis.call('HSET', KEYS[6], ARGV[3], ARGV[7]) end
redis.pcall('HSET', KEYS[7], ARGV[1], ARGV[2])
return 1
