-- Let jobs wait until they are due, once: sent again under the same number, it does nothing. Jobs
-- that are due already go to their queue.
--
-- The numbers are those of enqueue.lua, and so is the order: the number first, and what is refused
-- after it takes back all of the call. A delay is counted from the server's time, as a program's
-- clock may be wrong.
--
-- KEYS  1 producer (HASH)   2 later (ZSET)   3 later:jobs (HASH)   4 queues (SET)
--       5 the queue (LIST)   6.. of tracked jobs the state of each (HASH)
-- ARGV  1 slot   2 number of this call   3 queue name   4 seconds until the producer expires
--       5 1 to count these from now on; for a new slot they always are
--       6 'in' or 'at': whether times are delays or times of the epoch; both are milliseconds
--       7.. for each job: its id, its time, its payload; behind those of tracked jobs their class,
--       and for how many ms a result is kept
-- Returns  1; 0 when it was done before, or is so late that another call has used the slot since
local producer, later, jobs, queues, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local A, call = ARGV, redis.call
local is_tracked = KEYS[6] ~= nil
-- include put_off_all
-- include now_ms
-- include take_number
local names, failure
local ids, values, scores, at_once = {}, {}, {}, {}
local is_delay = A[6] == 'in'
local now = now_ms(is_delay and math.ceil or math.floor)
local from = is_delay and now or 0
local head = #queue .. ':' .. queue
for i = 7, is_tracked and #A - 2 or #A, 3 do
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
if not failure then
  if is_tracked then
-- include track
    for n = 6, #KEYS do
      local left = from + tonumber(A[3 * n - 10]) - now
      local state = left > 0 and 'later' or 'queued'
      track(KEYS[n], state, A[#A - 1], A[3], math.max(A[#A], left) + DAY_MS)
    end
  end
  return 1
end

for _, name in ipairs(names) do
  redis.pcall('ZREM', later, name)
  redis.pcall('HDEL', jobs, name)
end
call('HINCRBY', producer, A[1], last - number) -- late copies of calls before this one stay done
return redis.error_reply(failure)
