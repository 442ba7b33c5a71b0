-- Remove the oldest failed jobs: those that are too old, and those above a number.
--
-- KEYS  1 failed list (LIST)   2 failed_sweep (STRING)   3 failed_changes (STREAM)
-- ARGV  1 token of the process that holds the lock `failed_sweep`: another one may be moving entries
--       from one end to the other   2 how many entries stay at most, '' for any number
--       3 how many of the oldest are too old   4 the last of them as it was read: where another one
--       stands there now, none is removed for its age   5 how many are removed at most
-- Returns  how many were removed; -1 when another process holds the lock: nothing was done
local failed, failed_sweep, changes, call = KEYS[1], KEYS[2], KEYS[3], redis.call
call('LTRIM', failed, 0, -1) -- it changes nothing: a replica refuses here
if call('GET', failed_sweep) ~= ARGV[1] then return -1 end
local count, length = tonumber(ARGV[3]), call('LLEN', failed)
if count > 0 and call('LINDEX', failed, count - 1) ~= ARGV[4] then count = 0 end
if ARGV[2] ~= '' then count = math.max(count, length - ARGV[2]) end
count = math.min(count, tonumber(ARGV[5]))
-- include note_failed
if count > 0 then
  call('LTRIM', failed, count, -1)
  note_failed(changes, failed, length, '', '0-' .. count - 1, 0)
end
return count
