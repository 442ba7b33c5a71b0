-- Give a job that waits in `later` another time.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)
-- ARGV  1 the job's name in later   2 its entry as it was read   3 its new entry
--       4 'in' or 'at': a delay or a time of the epoch   5 that, in milliseconds
-- Returns  1; 0 when another entry, or none, stands there by now: nothing was done
local later, jobs = KEYS[1], KEYS[2]
local guarded = later
-- include guard
-- include now_ms
if redis.call('HGET', jobs, ARGV[1]) ~= ARGV[2] then return 0 end
local due = (ARGV[4] == 'in' and now_ms(math.ceil) or 0) + tonumber(ARGV[5])
redis.call('ZADD', later, due, ARGV[1])
redis.call('HSET', jobs, ARGV[1], ARGV[3])
return 1
