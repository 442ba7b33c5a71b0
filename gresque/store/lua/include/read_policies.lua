-- The one read that a turn makes for policies. It is tracked: a change wakes an idle process.
local policy_of, all_paused, own_cap_of -- tables once there is a policy, or a cap of the worker
local has_policies = pcall('EXISTS', K[POLICIES], K[POLICIES + 1])
if has_policies ~= 0 and not note('look', has_policies, 'EXISTS', K[POLICIES]) then
  local policies, pause = pcall('HGETALL', K[POLICIES]), pcall('GET', K[POLICIES + 1])
  if note('look', policies, 'HGETALL', K[POLICIES]) then policies = {} end
  if note('look', pause, 'GET', K[POLICIES + 1]) then pause = false end
  all_paused = pause and string.find(string.lower(pause), '^[%s%z]*true[%s%z]*$')
  policy_of = {}
  for i = 1, #policies, 2 do policy_of[policies[i]] = policies[i + 1] end
end
if own_caps ~= '' then
  policy_of, own_cap_of = policy_of or {}, {}
  for index, cap in string.gmatch(own_caps, '(%d+)=(%d+)') do
    own_cap_of[FIRST_LIST + index] = tonumber(cap)
  end
end
