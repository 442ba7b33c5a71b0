-- Move jobs out of a fenced ledger: each once, whoever else is recovering it at the same time.
--
-- A job whose list refuses it (a key of another type, a missing right) stays in the ledger and is
-- named; the others go on. Statistics and notes that are refused are left out and named.
--
-- KEYS  1 ledger (HASH)   2 ledgers (ZSET)   3 running (STRING)   4 queues (SET)
--       5 stat:processed   6 stat:failed   7 failed_queues (SET)   8 suspects (HASH)
--       9 processes (HASH)   10 recoveries (LIST)
-- ARGV  1 process id   2 the log's entry: a JSON object without its last brace   3 how many entries
--       the log keeps   4 seconds until the log expires, when nothing comes to it any more
--       5.. for each job five: slot, 'requeue', 'fail' or 'poison', list key, what to push, queue
--       name, for a failed one the list's name among failed_queues or '';
--       of the requeued ones the last comes to the head of its queue
-- Returns  {requeued, failed, jobs left, {slot of a failed one, …}, {key, its error, key, …}};
--          the ledger is gone when no jobs are left.
--          An error when the ledger is not fenced: nothing was done
local SUSPECT = '^%s*{%s*"recoveries"%s*:%s*%d+%s*,%s*"deaths"' -- as in cycle.lua
local EXPIRY = 86400
local ledger, ledgers, running, queues = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local processed_stat, failed_stat, failed_queues = KEYS[5], KEYS[6], KEYS[7]
local suspects, processes, recoveries = KEYS[8], KEYS[9], KEYS[10]
local guarded = ledger
-- include guard
-- include try

local function forget()
  try('ZREM', ledgers, ARGV[1])
  try('HDEL', processes, ARGV[1])
  redis.call('DEL', running)
end

local count = redis.pcall('HLEN', ledger)
if type(count) == 'table' and count.err then
  if not string.find(count.err, 'WRONGTYPE', 1, true) then return count end
  forget() -- another program's key: no job stands in it
  return {0, 0, 0, {}, {ledger, count.err}}
end

-- A server that was promoted since may hold other jobs in these slots, of an older moment.
if count > 0 and string.sub(redis.call('HGET', ledger, 'state') or '', 1, 6) ~= 'fenced' then
  return redis.error_reply('FORGOTTEN Redis has forgotten that this process is dead; its ledger is'
    .. ' read anew')
end

local requeued, failed, poison, failed_slots = 0, 0, 0, {}
for i = 5, #ARGV, 5 do
  if redis.call('HEXISTS', ledger, ARGV[i]) == 1 then
    if ARGV[i + 1] == 'requeue' then
      if try('LPUSH', ARGV[i + 2], ARGV[i + 3]) then
        redis.call('HDEL', ledger, ARGV[i])
        try('SADD', queues, ARGV[i + 4]) -- somebody may have removed the queue meanwhile
        if string.find(ARGV[i + 3], SUSPECT) and try('HINCRBY', suspects, ARGV[i + 2], 1) then
          redis.call('EXPIRE', suspects, EXPIRY)
        end
        requeued = requeued + 1
      end
    elseif ARGV[i + 2] == '' or try('RPUSH', ARGV[i + 2], ARGV[i + 3]) then
      redis.call('HDEL', ledger, ARGV[i])
      if ARGV[i + 4] ~= '' then try('SADD', failed_queues, ARGV[i + 4]) end
      failed = failed + 1
      failed_slots[failed] = ARGV[i]
      if ARGV[i + 1] == 'poison' then poison = poison + 1 end
    end
  end
end
if failed > 0 then
  try('INCRBY', processed_stat, failed)
  try('INCRBY', failed_stat, failed)
end

-- The totals stay true, and so does what the log will say, should the recovery be cut off and begun
-- again by somebody else: `fenced:<requeued>:<failed>:<poison> <sequence> <totals>`.
local state = redis.call('HGET', ledger, 'state')
local left = redis.call('HLEN', ledger)
if state then
  left = left - 1
  local tally, before, f, r = string.match(state, '^fenced(%S*) (%d%S* %d+ %d+ )(%d+) (%d+)$')
  if not tally then tally, before, f, r = '', '0 0 0 ', 0, 0 end
  local requeued0, failed0, poison0 = string.match(tally, '^:(%d+):(%d+):(%d+)$')
  tally = {requeued + (requeued0 or 0), failed + (failed0 or 0), poison + (poison0 or 0)}
  if left > 0 then
    redis.call('HSET', ledger, 'state', 'fenced:' .. table.concat(tally, ':') .. ' ' .. before ..
      (f + failed) .. ' ' .. (r + requeued))
  elseif try('RPUSH', recoveries, ARGV[2] .. string.format(
    ',"requeued":%d,"failed":%d,"poison":%d}', tally[1], tally[2], tally[3])) then
    redis.call('LTRIM', recoveries, -ARGV[3], -1)
    redis.call('EXPIRE', recoveries, ARGV[4])
  end
end
if left > 0 then return {requeued, failed, left, failed_slots, refusals} end
redis.call('DEL', ledger)
forget()
return {requeued, failed, 0, failed_slots, refusals}
