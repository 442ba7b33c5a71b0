-- Take the lease, if it is free. One script, so that all the stand-bys together ask little: it begins
-- with a write, which a replica refuses.
--
-- KEYS  1 the lease (STRING)   2 masters (HASH)
-- ARGV  1 who takes it   2 milliseconds until it expires
-- Returns  {0 when it is taken; else the milliseconds until it expires; -1 when another program uses
--          the key, as it does not expire; how many masters there are, 0 where that is not known}
local lease, masters, expiry = KEYS[1], KEYS[2], tonumber(ARGV[2])
local guarded = lease
-- include guard
if redis.call('SET', lease, ARGV[1], 'NX', 'PX', expiry) then return {0, 0} end
local left = redis.call('PTTL', lease)
if left > expiry then -- the server's clock was set back
  redis.call('PEXPIRE', lease, expiry)
  left = expiry
end
local count = redis.pcall('HLEN', masters)
return {left == -1 and -1 or math.max(left, 1), type(count) == 'number' and count or 0}
