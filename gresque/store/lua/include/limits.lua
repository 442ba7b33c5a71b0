-- What policies allow: `limit(q)` is how many jobs may be taken now from the list K[q], the flag of
-- their entries, and whether the queue is full; `took(jobs)` counts those that were. Counters are
-- read by a write that adds nothing: a read would be announced at each of their changes.
paused, blocked, wait = {}, {}, 0
marks = {['+'] = 1000, ['@'] = 2000, ['#'] = 3000} -- inflight, own_inflight, both
local policy_of, own_cap_of = {}, {}
for i = 1, #policies, 2 do policy_of[policies[i]] = ' ' .. policies[i + 1] .. ' ' end
for index, cap in string.gmatch(own_caps, '(%d+)=(%d+)') do
  own_cap_of[FIRST_LIST + index] = tonumber(cap)
end
-- Of the list that `limit` was called for last: its queue, how many jobs it may give by its caps and
-- by its rate, the counters of its jobs, and which of those are at 0.
local list, name, by_caps, by_rate, counters, unused
local function room_under(cap, counter)
  local count = pcall('HINCRBY', counter, name, 0)
  if note('look', count, 'HINCRBY', counter) then return 0 end
  counters[#counters + 1], unused[counter] = counter, count <= 0
  return cap - count
end
-- include rate
function limit(q)
  list, name, counters, unused = q - FIRST_LIST, queue_of(K[q]), {}, {}
  by_caps, by_rate, interval = math.huge, math.huge, nil
  local policy, flag = policy_of[name] or '', ':'
  if all_paused or string.find(policy, ' p ', 1, true) then
    paused[#paused + 1] = list
    return 0, flag, false
  end
  local cap, own_cap = string.match(policy, ' c([1-9]%d*) '), own_cap_of[q]
  local jobs, ms, burst = string.match(policy, ' r([1-9]%d*)/([1-9]%d*)b([1-9]%d*) ')
  if cap then by_caps, flag = room_under(cap, inflight), '+' end
  if own_cap then
    by_caps, flag = math.min(by_caps, room_under(own_cap, own_inflight)), cap and '#' or '@'
  end
  if jobs and by_caps > 0 then by_rate = allowed(jobs, ms, tonumber(burst)) end
  return math.min(by_caps, by_rate), flag, by_caps < 1
end
function took(jobs)
  for _, counter in ipairs(counters) do
    if jobs > 0 then pcall('HINCRBY', counter, name, jobs)
    elseif unused[counter] then pcall('HDEL', counter, name) end
  end
  if freed and freed[name] and #counters > 0 then freed[name] = freed[name] - jobs end
  if interval then charge(jobs) end
  if by_caps <= jobs or by_rate <= jobs then blocked[#blocked + 1] = list end
  if interval and by_rate <= jobs then note_wait() end
end
