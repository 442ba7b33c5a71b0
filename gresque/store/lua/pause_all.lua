-- Pause all queues, as Resque's programs do, or end that.
--
-- KEYS  1 pause-all-workers
-- ARGV  1 its value; '' to end the pause
-- Returns  the value before; '' for none
local pause, value = KEYS[1], ARGV[1]
local call = redis.call
call('PERSIST', pause) -- a script that has written may go on when Redis is full
local before = call('GET', pause) or ''
if value == '' then call('DEL', pause) else call('SET', pause, value) end
return before
