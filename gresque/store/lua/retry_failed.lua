-- Put a failed job back into its queue, then mark its entry: a crash in between doubles, never loses.
--
-- KEYS  1 failed (LIST)   2 queues (SET)   3 the job's queue (LIST)   4 the job's lock (HASH)
--       5 failed_changes (STREAM)   6 the state of a tracked job (HASH)
-- ARGV  1 index   2 the entry as it was read   3 the entry, marked as retried   4 queue name
--       5 the payload to push   6-8 id, mode and class of a job that has a lock; '' of others
--       9-11 state, details and expiry in ms of a tracked job; '' of others
-- Returns  1; 0 when another entry stands at the index by now: nothing was done
local failed, queues, queue, lock, changes, tracked = unpack(KEYS)
-- A replica, and a server that is full, refuse here. Where there is a list this changes nothing.
if redis.call('SET', failed, '', 'NX') then
  redis.call('DEL', failed)
  return 0
end
if redis.call('LINDEX', failed, ARGV[1]) ~= ARGV[2] then return 0 end
for _, push in ipairs({{'SADD', queues, ARGV[4]}, {'RPUSH', queue, ARGV[5]}}) do
  local done = redis.pcall(unpack(push))
  if type(done) == 'table' then return redis.error_reply(done.err .. ': ' .. push[2]) end
end
redis.call('LSET', failed, ARGV[1], ARGV[3])
-- include note_failed
note_failed(changes, failed, redis.call('LLEN', failed), ARGV[1], '', 0)
-- include lock_if_free
lock_if_free(lock, ARGV[6], ARGV[7], ARGV[8], ARGV[4], ARGV[5])
-- include state_of_retry
note_retry(tracked, ARGV[9], ARGV[10], ARGV[11])
return 1
