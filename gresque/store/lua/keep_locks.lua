-- Prolong the locks of jobs that run for long: one that expired would let another job in.
--
-- KEYS  1 .. the locks (HASHes)
-- ARGV  for each lock the id of the job that runs
-- Returns  {key, its error, …}
local guarded = KEYS[1]
-- include guard
-- include try
for i, lock in ipairs(KEYS) do
  local held, left = try('HMGET', lock, 'id', 'ttl'), try('PTTL', lock)
  if held and held[1] == ARGV[i] and left then
    local ttl = math.max(tonumber(held[2] or 86400000), 60000)
    if left >= 0 and left < ttl / 2 then try('PEXPIRE', lock, ttl) end
  end
end
return refusals
