-- Let another go round the failed jobs.
--
-- KEYS  1 failed_sweep (STRING)
-- ARGV  1 token of who went round
-- Returns  1; 0 when another goes round by now
-- It is a string, so that this changes nothing: a replica refuses here.
local first = redis.pcall('HDEL', KEYS[1], 'none')
if type(first) == 'table' and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
