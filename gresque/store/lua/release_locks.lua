-- Release the locks of jobs that were taken out by hand.
--
-- KEYS  1 queues (SET)   2.. the keys of the effects
-- ARGV  for each effect four: its kind, `unlock` or `pass_on`; index of its first key in KEYS; its
--       arguments a and b (effects.lua)
-- Returns  {key, its error, …}
local queues, refusals = KEYS[1], {}
local guarded = queues
-- include guard
-- include unlock
-- include pass_on
-- include end_by_hand
for i = 1, #ARGV, 4 do
  local at = tonumber(ARGV[i + 1])
  local refused, key = end_by_hand(ARGV[i], at, ARGV[i + 2], ARGV[i + 3], queues)
  if refused then refusals[#refusals + 1], refusals[#refusals + 2] = key, refused.err end
end
return refusals
