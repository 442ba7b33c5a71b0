-- Let jobs wait until they are due, once: sent again under the same number, it does nothing. Jobs
-- that are due already go to their queue.
--
-- The numbers are those of enqueue.lua, and so is the order: the number first, and what is refused
-- after it takes back all of the call. A delay is counted from the server's time, as a program's
-- clock may be wrong.
--
-- KEYS  1 producer (HASH)   2 later (ZSET)   3 later:jobs (HASH)   4 queues (SET)
--       5 the queue (LIST)
-- ARGV  1 slot   2 number of this call   3 queue name   4 seconds until the producer expires
--       5 'in' or 'at': whether times are delays or times of the epoch; both are milliseconds
--       6.. for each job: its id, its time, its payload
-- Returns  1; 0 when it was done before, or is so late that another call has used the slot since
local producer, later, jobs, queues, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local A, call = ARGV, redis.call
-- include put_off_all
-- include now_ms
local fresh = call('HSETNX', producer, A[1], 0) == 1
local last = fresh and 0 or tonumber(call('HGET', producer, A[1]))
if last >= tonumber(A[2]) then return 0 end

call('HSET', producer, A[1], A[2])
call('EXPIRE', producer, A[4])
local names, failure
local ids, values, scores, at_once = {}, {}, {}, {}
local is_delay = A[5] == 'in'
local now = now_ms(is_delay and math.ceil or math.floor)
local from = is_delay and now or 0
local head = #queue .. ':' .. queue
for i = 6, #A, 3 do
  local due = from + tonumber(A[i + 1])
  if due <= now then
    at_once[#at_once + 1] = A[i + 2]
  else
    local n = #ids + 1
    ids[n], values[2 * n - 1], values[2 * n] = A[i], A[i], head .. A[i + 2]
    scores[2 * n - 1], scores[2 * n] = due, A[i]
  end
end
names, failure = put_off_all(later, jobs, ids, values, scores)
if not failure and #at_once > 0 then
  failure = refused(redis.pcall('SADD', queues, A[3]), queues)
    or refused(redis.pcall('RPUSH', queue, unpack(at_once)), queue)
end
if not failure then return 1 end

for _, name in ipairs(names) do
  redis.pcall('ZREM', later, name)
  redis.pcall('HDEL', jobs, name)
end
if fresh then
  call('HDEL', producer, A[1])
else
  call('HSET', producer, A[1], last) -- late copies of calls before this one stay done
end
return redis.error_reply(failure)
