-- Move jobs out of a fenced ledger: each once, also when two processes recover it at the same time;
-- or remove a ledger that is empty.
--
-- A job whose list refuses it (a key of another type, a missing right) stays in the ledger and is
-- named; the others go on. Statistics and notes that are refused are left out and named.
--
-- KEYS  1 ledger (HASH)   2 ledgers (ZSET)   3 running (STRING)   4 queues (SET)
--       5 stat:processed   6 stat:failed   7 failed_queues (SET)   8 suspects (SET)
--       9 processes (HASH)   10 recoveries (LIST)   11 stat:retried   12 inflight (HASH)
--       13 inflight:<worker> (HASH)   14.. the lists that jobs go to, and the other keys of effects;
--       then freed:<queue> of the queues of counted jobs (STRINGs)
-- ARGV  1 process id   2 the log's entry, a JSON object without its last brace, to remove the ledger
--       if no jobs are left; '' to leave it with its totals, which are to be counted first
--       3 how many entries the log keeps   4 seconds until the log expires, when nothing comes to it
--       any more
--       5 how many freed:<queue>; 0 when no job of the process is counted as in flight
--       6.. for each effect seven: slot, 'state' for that of the effect before; its kind
--       (effects.lua), or 'poison' for a failure; index of its key in KEYS (0 for a failure without
--       an entry); the job's payload; a, b, c. The first effect of a job is the one that moves it;
--       the others happen only when it was moved here. Of those that go back to a list the last one
--       comes to its head
-- Returns  {requeued, failed, jobs left, {slot of a failed one, …}, {key, its error, key, …},
--           retried};
--          An error when the ledger is not fenced: nothing was done
local ledger, ledgers, running, queues = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local processed_stat, failed_stat, failed_queues = KEYS[5], KEYS[6], KEYS[7]
local suspects, processes, recoveries, retried_stat = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local inflight, own_inflight, pcall, guarded = KEYS[12], KEYS[13], redis.pcall, ledger
-- include guard
-- include try
local function note(_, done, _, key)
  if type(done) ~= 'table' or not done.err then return nil end
  if not named[key] then
    refusals[#refusals + 1], refusals[#refusals + 2] = key, done.err
    named[key] = true
  end
  return done
end
local function forget()
  try('ZREM', ledgers, ARGV[1])
  try('HDEL', processes, ARGV[1])
  redis.call('DEL', running)
end

local count = redis.pcall('HLEN', ledger)
if type(count) == 'table' and count.err then
  if not string.find(count.err, 'WRONGTYPE', 1, true) then return count end
  forget() -- another program's key: no job stands in it
  return {0, 0, 0, {}, {ledger, count.err}, 0}
end
-- A server that was promoted since may hold other jobs in these slots, of an older moment.
if count > 0 and string.sub(redis.call('HGET', ledger, 'state') or '', 1, 6) ~= 'fenced' then
  return redis.error_reply('FORGOTTEN Redis has forgotten that this process is dead; its ledger is'
    .. ' read again')
end
-- include effects
-- include count_entries
-- include recover_jobs
-- include log_recovery
