-- Remove entries from the failed list by index, each only if it still is the one that was read.
--
-- KEYS  1 failed (LIST)   2 failed_changes (STREAM)
-- ARGV  index, entry, index, entry, …
-- Returns  how many were removed
local failed, changes = KEYS[1], KEYS[2]
redis.call('LTRIM', failed, 0, -1) -- it changes nothing: a replica refuses here
-- include note_failed
local length, dropped = redis.call('LLEN', failed), {}
for i = 1, #ARGV, 2 do
  if redis.call('LINDEX', failed, ARGV[i]) == ARGV[i + 1] then
    redis.call('LSET', failed, ARGV[i], '')
    dropped[#dropped + 1] = ARGV[i]
  end
end
if #dropped > 0 then
  redis.call('LREM', failed, #dropped, '')
  note_failed(changes, failed, length, '', table.concat(dropped, ' '), 0)
end
return #dropped
