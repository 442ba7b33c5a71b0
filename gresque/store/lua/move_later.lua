-- Move one job from `later` to the end of a list: its queue, or a failed list.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)   3 the list   4 SET of the names of such lists
-- ARGV  1 the job's name in later   2 its entry as it was read   3 what to push
--       4 name to add to the SET, or ''
-- Returns  1; 0 when another entry, or none, stands there by now: nothing was done
local later, jobs, list, known = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local guarded = later
-- include guard
if redis.call('HGET', jobs, ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', later, 'none') -- what is refused is so before the job is copied
redis.call('HDEL', jobs, 'none')
local done = redis.pcall('RPUSH', list, ARGV[3])
if type(done) == 'table' then return redis.error_reply(done.err .. ': ' .. list) end
redis.call('ZREM', later, ARGV[1])
redis.call('HDEL', jobs, ARGV[1])
if ARGV[4] ~= '' then redis.pcall('SADD', known, ARGV[4]) end
return 1
