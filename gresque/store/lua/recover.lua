-- Move jobs out of a fenced ledger: each once, whoever else is recovering it at the same time.
--
-- KEYS  1 ledger (HASH)   2 ledgers (ZSET)   3 running (STRING)   4 queues (SET)
--       5 stat:processed   6 stat:failed   7 failed_queues (SET)
-- ARGV  1 process id, then for each job five: slot, 'requeue' or 'fail', list key, what to push,
--       queue name, for a failed one the list's name among failed_queues or '';
--       of the requeued ones the last comes to the head of its queue
-- Returns  {requeued, failed, jobs left, {slot of a failed one, …}}; the ledger is gone when none
--          are left
-- A script whose first write needs no memory may finish when Redis is full.
redis.call('HDEL', KEYS[1], '')
local requeued, failed, failed_slots = 0, 0, {}
for i = 2, #ARGV, 5 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    if ARGV[i + 1] == 'requeue' then
      redis.call('SADD', KEYS[4], ARGV[i + 4]) -- somebody may have removed the queue meanwhile
      redis.call('LPUSH', ARGV[i + 2], ARGV[i + 3])
      requeued = requeued + 1
    else
      if ARGV[i + 4] ~= '' then redis.call('SADD', KEYS[7], ARGV[i + 4]) end
      if ARGV[i + 2] ~= '' then redis.call('RPUSH', ARGV[i + 2], ARGV[i + 3]) end
      failed = failed + 1
      failed_slots[failed] = ARGV[i]
    end
    redis.call('HDEL', KEYS[1], ARGV[i]) -- last: a push may be refused, by a key that is no list
  end
end
-- The totals stay true, should the recovery be cut off and begun again.
local state = redis.call('HGET', KEYS[1], 'state')
if state and requeued + failed > 0 then
  local before, f, r = string.match(state, '^(.* )(%d+) (%d+)$')
  redis.call('HSET', KEYS[1], 'state', before .. (f + failed) .. ' ' .. (r + requeued))
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
return {requeued, failed, math.max(left, 0), failed_slots}
