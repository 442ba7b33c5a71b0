-- What policies allow, made for the first list that has one: `limit(q, name)` is how many jobs may
-- be taken now from the list K[q] of the queue `name`, the flag of their entries, and whether the
-- queue is full; `took(jobs)` counts those that were. Counters are read by a write that adds
-- nothing: a read would be announced at each of their changes.
paused, blocked, wait = {}, {}, 0
marks = {['+'] = 1000, ['@'] = 2000, ['#'] = 3000} -- inflight, own_inflight, both
local inflight, own_inflight, rates = K[POLICIES + 2], K[POLICIES + 3], K[POLICIES + 4]
-- Of the list that `limit` was called for last: its queue, how many jobs it may give by its caps and
-- by its rate, and the counters of its jobs with what they say; nil: they are not counted there.
local list, name, by_caps, by_rate, counted, own_counted
local function count_in(counter)
  local count = pcall('HINCRBY', counter, name, 0)
  return not note('look', count, 'HINCRBY', counter) and count or nil
end
-- include rate
function limit(q, queue)
  list, name, by_caps, by_rate, interval = q - FIRST_LIST, queue, math.huge, math.huge, nil
  counted, own_counted = nil, nil
  local policy, flag = ' ' .. (policy_of[name] or '') .. ' ', ':'
  if all_paused or string.find(policy, ' p ', 1, true) then
    paused[#paused + 1] = list
    return 0, flag, false
  end
  local cap, own_cap = string.match(policy, ' c([1-9]%d*) '), own_cap_of and own_cap_of[q]
  local jobs, ms, burst = string.match(policy, ' r([1-9]%d*)/([1-9]%d*)b([1-9]%d*) ')
  if cap then
    counted, flag = count_in(inflight), '+'
    by_caps = counted and cap - counted or 0
  end
  if own_cap then
    own_counted, flag = count_in(own_inflight), cap and '#' or '@'
    by_caps = math.min(by_caps, own_counted and own_cap - own_counted or 0)
  end
  if jobs and by_caps > 0 then by_rate = allowed(jobs, ms, tonumber(burst)) end
  return math.min(by_caps, by_rate), flag, by_caps < 1
end
local function add(jobs, count, counter)
  if jobs > 0 then pcall('HINCRBY', counter, name, jobs)
  elseif count <= 0 then pcall('HDEL', counter, name) end
end
function took(jobs)
  if counted then add(jobs, counted, inflight) end
  if own_counted then add(jobs, own_counted, own_inflight) end
  if freed and freed[name] and (counted or own_counted) then freed[name] = freed[name] - jobs end
  if interval then charge(jobs) end
  if by_caps <= jobs or by_rate <= jobs then blocked[#blocked + 1] = list end
  if interval and by_rate <= jobs then note_wait() end
end
