-- The two reads that a turn makes for policies. Both are tracked: a change wakes an idle process.
local policies, pause = pcall('HGETALL', policies_key), pcall('GET', pause_key)
if note('look', policies, 'HGETALL', policies_key) then policies = {} end
if note('look', pause, 'GET', pause_key) then pause = false end
local all_paused = pause and string.find(string.lower(pause), '^%s*true%s*$')
if #policies > 0 or all_paused or own_caps ~= '' then
-- include limits
end
