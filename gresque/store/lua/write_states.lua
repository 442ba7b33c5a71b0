-- Write what is known of tracked jobs that were taken out, or given another time, by hand.
--
-- KEYS  1 to the last: the state of each job (HASH)
-- ARGV  for each job three: its state, '' for no other one; details; for how many ms it is kept, or
--       at least where its state stays
-- Returns  {key, its error, …} of those that were refused
local guarded = KEYS[1]
-- include guard
-- include try
for n, key in ipairs(KEYS) do
  local i = 3 * n - 2
  if ARGV[i] ~= '' then
    if try('HSET', key, 's', ARGV[i], 'd', ARGV[i + 1]) then try('PEXPIRE', key, ARGV[i + 2]) end
  else
    local left = try('PTTL', key)
    if left and left >= 0 and left < tonumber(ARGV[i + 2]) then try('PEXPIRE', key, ARGV[i + 2]) end
  end
end
return refusals
