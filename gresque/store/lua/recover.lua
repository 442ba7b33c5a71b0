-- Move jobs out of a fenced ledger: each once, whoever else is recovering it at the same time.
--
-- KEYS  1 ledger (HASH)   2 ledgers (ZSET)   3 running (STRING)   4 queues (SET)
--       5 stat:processed   6 stat:failed
-- ARGV  1 process id, then for each job four: slot, 'requeue' or 'fail', list key, what to push
-- Returns  {requeued, failed, jobs left}; the ledger is gone when none are left
local requeued, failed = 0, 0
for i = 2, #ARGV, 4 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    if ARGV[i + 1] == 'requeue' then
      redis.call('LPUSH', ARGV[i + 2], ARGV[i + 3])
      requeued = requeued + 1
    else
      if ARGV[i + 2] ~= '' then redis.call('RPUSH', ARGV[i + 2], ARGV[i + 3]) end
      failed = failed + 1
    end
  end
end
if failed > 0 then
  redis.call('INCRBY', KEYS[5], failed)
  redis.call('INCRBY', KEYS[6], failed)
end
local left = redis.call('HLEN', KEYS[1]) - 1
if left <= 0 then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return {requeued, failed, math.max(left, 0)}
