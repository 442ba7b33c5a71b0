-- Push unique jobs and take their locks, once: the numbers are those of enqueue.lua, and a call that
-- is sent again answers as the first time. A job whose lock is held is not pushed: what becomes of
-- it says `on_duplicate`. An error means that nothing has changed.
--
-- KEYS  1 producer (HASH)   2 later (ZSET)   3 later:jobs (HASH)   4 queues (SET)
--       5 the queue (LIST)   6.. for each job the lock of its key (HASH); then for each tracked one
--       its state (HASH)
-- ARGV  1 slot   2 number of this call   3 queue name   4 seconds until the producer expires
--       5 1 to count these from now on; for a new slot they always are
--       6 'in' or 'at' as in schedule.lua, 'debounce' or 'throttle'   7 mode of the locks
--       8 on_duplicate   9 class of the jobs   10 ms until a lock expires, from when its job is due
--       11 ms of a debounce or a throttle
--       12 ms for which a debounce is prolonged at most; of a throttle, 1 for a job at its end, or 0
--       13.. for each job: its id, its time (as in schedule.lua), the text of its key, its payload;
--       behind those of tracked jobs for how many ms a result is kept
-- Returns  1 where all jobs are enqueued; else for each, with blanks between, `+` where it is, or the
--          id of the job that holds the lock. With 'raise' one such id means that none is enqueued
local producer, later, jobs, queues, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local A, K, call, pcall, FIRST_LOCK, FIRST_JOB = ARGV, KEYS, redis.call, redis.pcall, 6, 13
local kind, mode, on_duplicate = A[6], A[7], A[8]
local places -- of a plan
local DAY = '86400000' -- ms: a lock without `ttl` has this one
local result_ms = (#A - FIRST_JOB) % 4 == 0 and table.remove(A) -- else the last one is a payload
local period, most, answer = tonumber(A[11]), tonumber(A[12]), A[1] .. ':answer'
-- include now_ms
local number, last = (function()
-- include take_number
  return number, last
end)()
if not last then -- done before: only what is not the rule was kept
  local kept, text = string.match(call('HGET', producer, answer) or '', '^(%d+) (.*)$')
  return kept == A[2] and text or 1
end
local now = now_ms(kind == 'at' and math.floor or math.ceil)
-- include unique_straight
if not is_straight then
  -- include unique_planned
end
if result_ms then
-- include unique_track
end
if pushed == #words then return 1 end
local text = table.concat(words, ' ')
call('HSET', producer, answer, A[2] .. ' ' .. text)
return text
