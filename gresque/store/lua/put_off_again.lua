-- Give a job that waits in `later` another time.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)   3 the lock of a unique job (HASH)   4 the jobs that wait
--       for that (ZSET); later in place of both for other jobs
-- ARGV  1 the job's name in later   2 its entry as it was read   3 its new entry
--       4 'in' or 'at': a delay or a time of the epoch   5 that, in milliseconds
--       6 id of a unique job; '' of others
-- Returns  1; 0 when another entry, or none, stands there by now: nothing was done
local later, jobs, lock, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local guarded = later
-- include guard
-- include now_ms
if redis.call('HGET', jobs, ARGV[1]) ~= ARGV[2] then return 0 end
local now, due = now_ms(math.ceil), tonumber(ARGV[5])
if ARGV[4] == 'in' then due = now + due end
redis.call('ZADD', later, due, ARGV[1])
redis.call('HSET', jobs, ARGV[1], ARGV[3])
if ARGV[6] == '' then return 1 end
-- It waits for its time now: the end of another job must not call it before.
redis.pcall('ZREM', waiting, ARGV[1])
-- include outlive
outlive(lock, ARGV[6], math.max(due - now, 0))
return 1
