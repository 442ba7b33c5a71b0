-- Move jobs out of a fenced ledger: each once, whoever else is recovering it at the same time.
--
-- KEYS  1 ledger (HASH)   2 ledgers (ZSET)   3 running (STRING)   4 queues (SET)
--       5 stat:processed   6 stat:failed   7 failed_queues (SET)   8 suspects (HASH)
--       9 processes (HASH)   10 recoveries (LIST)
-- ARGV  1 process id   2 the log's entry: a JSON object without its last brace   3 how many entries
--       the log keeps   4 seconds until the log expires, when nothing comes to it any more
--       5.. for each job five: slot, 'requeue', 'fail' or 'poison', list key, what to push, queue
--       name, for a failed one the list's name among failed_queues or '';
--       of the requeued ones the last comes to the head of its queue
-- Returns  {requeued, failed, jobs left, {slot of a failed one, …}}; the ledger is gone when none
--          are left
local SUSPECT = '^%s*{%s*"recoveries"%s*:%s*%d+%s*,%s*"deaths"' -- as in cycle.lua
local EXPIRY = 86400
-- A script whose first write needs no memory may finish when Redis is full.
redis.call('HDEL', KEYS[1], '')
local requeued, failed, poison, failed_slots = 0, 0, 0, {}
for i = 5, #ARGV, 5 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    if ARGV[i + 1] == 'requeue' then
      redis.call('SADD', KEYS[4], ARGV[i + 4]) -- somebody may have removed the queue meanwhile
      redis.call('LPUSH', ARGV[i + 2], ARGV[i + 3])
      if string.find(ARGV[i + 3], SUSPECT) then
        redis.call('HINCRBY', KEYS[8], ARGV[i + 2], 1)
        redis.call('EXPIRE', KEYS[8], EXPIRY)
      end
      requeued = requeued + 1
    else
      if ARGV[i + 4] ~= '' then redis.call('SADD', KEYS[7], ARGV[i + 4]) end
      if ARGV[i + 2] ~= '' then redis.call('RPUSH', ARGV[i + 2], ARGV[i + 3]) end
      failed = failed + 1
      failed_slots[failed] = ARGV[i]
      if ARGV[i + 1] == 'poison' then poison = poison + 1 end
    end
    redis.call('HDEL', KEYS[1], ARGV[i]) -- last: a push may be refused, by a key that is no list
  end
end
if failed > 0 then
  redis.call('INCRBY', KEYS[5], failed)
  redis.call('INCRBY', KEYS[6], failed)
end

-- The totals stay true, and so does what the log will say, should the recovery be cut off and begun
-- again by somebody else: `fenced:<requeued>:<failed>:<poison> <sequence> <totals>`.
local state = redis.call('HGET', KEYS[1], 'state')
if state then
  local tally, before, f, r = string.match(state, '^fenced(%S*) (.* )(%d+) (%d+)$')
  local requeued0, failed0, poison0 = string.match(tally, '^:(%d+):(%d+):(%d+)$')
  tally = {requeued + (requeued0 or 0), failed + (failed0 or 0), poison + (poison0 or 0)}
  if redis.call('HLEN', KEYS[1]) > 1 then
    redis.call('HSET', KEYS[1], 'state', 'fenced:' .. table.concat(tally, ':') .. ' ' .. before ..
      (f + failed) .. ' ' .. (r + requeued))
  else
    redis.call('HDEL', KEYS[1], 'state')
    redis.call('RPUSH', KEYS[10], ARGV[2] .. string.format(
      ',"requeued":%d,"failed":%d,"poison":%d}', tally[1], tally[2], tally[3]))
    redis.call('LTRIM', KEYS[10], -ARGV[3], -1)
    redis.call('EXPIRE', KEYS[10], ARGV[4])
  end
end
local left = redis.call('HLEN', KEYS[1])
if left > 0 then return {requeued, failed, state and left - 1 or left, failed_slots} end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[9], ARGV[1])
return {requeued, failed, 0, failed_slots}
