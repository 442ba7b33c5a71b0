-- The delay counts from now, by the server's clock. Of jobs with one id the first has it as member.
function test.later(later, _, _, entries)
  return lacks(pcall('ZADD', ledger, 0, ''), 'ZADD', later)
    or note('move', pcall('ZREM', later, ''), 'ZADD', later)
    or note('move', pcall('HSETNX', ledger, 'state', ''), 'HSETNX', entries) -- it has one
    or note('move', pcall('HDEL', entries, ''), 'HSETNX', entries)
end
local clock, now, made = nil, nil, 0
local put_off_as -- the member of the last job put off, for an effect that follows
function apply.later(later, _, delay, member, entry, entries)
  clock = clock or redis.call('TIME')
  now = now or clock[1] * 1000 + math.ceil(clock[2] / 1000)
  local name, taken = member, nil
  repeat
    taken, made = pcall('HSETNX', entries, name, entry), made + 1
    if taken == 0 then name = member .. ':' .. clock[1] .. clock[2] .. ':' .. made end
  until taken ~= 0
  local refusal = taken ~= 1 and note('move', taken, 'HSETNX', entries)
    or note('move', pcall('ZADD', later, now + delay, name), 'ZADD', later)
  if refusal and taken == 1 then pcall('HDEL', entries, name) end
  put_off_as = name
  return refusal
end
test.snooze, apply.snooze = test.later, apply.later
