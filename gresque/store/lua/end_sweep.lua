-- Let another command work through the failed jobs.
--
-- KEYS  1 failed_sweep (STRING)
-- ARGV  1 token of the command that did so
-- Returns  1; 0 when another command does so by now
local failed_sweep = KEYS[1]
local guarded = failed_sweep
-- include guard
if redis.call('GET', failed_sweep) ~= ARGV[1] then return 0 end
return redis.call('DEL', failed_sweep)
