-- Take one job out of a list of resque-scheduler's, by hand.
--
-- KEYS  1 delayed_queue_schedule (ZSET)   2 delayed:<timestamp> (LIST)   3 timestamps:<item> (SET)
--       4 later (ZSET)   5 later:jobs (HASH)   6 queues (SET)   7 the queue it goes to (LIST)
-- ARGV  1 timestamp   2 the item   3 queue name
--       4 'drop'; 'run': to its queue; 'in' or 'at': to later, by a delay or a time of the epoch
--       5 its payload, or its entry in later:jobs   6 its name in later   7 milliseconds
-- Returns  1; 0 when the item is not there any more: nothing was done
local schedule, list, marks = KEYS[1], KEYS[2], KEYS[3]
local later, jobs, queues, queue = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local A, call = ARGV, redis.call
local guarded = schedule
-- include guard
-- include put_off
-- include now_ms
local places = call('LPOS', list, A[2], 'COUNT', 2)
if #places == 0 then return 0 end
if A[4] == 'run' then
  call('RPUSH', queue, A[5])
  redis.pcall('SADD', queues, A[3]) -- refused or not, the job is in its queue now
elseif A[4] ~= 'drop' then
  local due = (A[4] == 'in' and now_ms(math.ceil) or 0) + A[7]
  local _, failure = put_off(later, jobs, A[6], due, A[5])
  if failure then return redis.error_reply(failure) end
end
call('LREM', list, 1, A[2])
if #places == 1 then redis.pcall('SREM', marks, 'delayed:' .. A[1]) end
if call('LLEN', list) == 0 then redis.pcall('ZREM', schedule, A[1]) end
return 1
