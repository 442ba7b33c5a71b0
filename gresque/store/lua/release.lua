-- Release a lock or a lease, if it is still held with this token.
--
-- KEYS  1 the lock (STRING)
-- ARGV  1 token of the process that held it
-- Returns  1; 0 when another process holds it by now
local lock = KEYS[1]
local guarded = lock
-- include guard
if redis.call('GET', lock) ~= ARGV[1] then return 0 end
return redis.call('DEL', lock)
