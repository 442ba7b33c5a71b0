-- Remove entries from the failed list by index, each only if it still is the one that was read.
--
-- KEYS  1 failed (LIST)
-- ARGV  index, entry, index, entry, …
-- Returns  how many were removed
local failed = KEYS[1]
redis.call('LTRIM', failed, 0, -1) -- it changes nothing: a replica refuses here
local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('LINDEX', failed, ARGV[i]) == ARGV[i + 1] then
    redis.call('LSET', failed, ARGV[i], '')
    removed = removed + 1
  end
end
if removed > 0 then redis.call('LREM', failed, removed, '') end
return removed
