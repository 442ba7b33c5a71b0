-- Take the ledger of a dead process away from it: should it come back, it can settle nothing.
--
-- KEYS  1 ledger (HASH)
-- ARGV  none
-- Returns  every field and value of the ledger, as HGETALL does; {} when there is none
local state = redis.call('HGET', KEYS[1], 'state')
if state and string.sub(state, 1, 6) ~= 'fenced' then
  redis.call('HSET', KEYS[1], 'state', 'fenced ' .. state)
end
return redis.call('HGETALL', KEYS[1])
