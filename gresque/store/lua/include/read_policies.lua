-- The one read that a turn makes for policies. It is tracked: a change wakes an idle process.
local policies, pause = pcall('EXISTS', policies_key, pause_key), false
if note('look', policies, 'EXISTS', policies_key) or policies == 0 then
  policies = {}
else
  policies, pause = pcall('HGETALL', policies_key), pcall('GET', pause_key)
  if note('look', policies, 'HGETALL', policies_key) then policies = {} end
  if note('look', pause, 'GET', pause_key) then pause = false end
end
local all_paused = pause and string.find(string.lower(pause), '^%s*true%s*$')
if #policies > 0 or all_paused or own_caps ~= '' then
-- include limits
end
