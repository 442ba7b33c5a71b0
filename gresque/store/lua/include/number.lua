-- Is this turn the one after the last that the server knows? Sent again, it answers from the ledger.
local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local number, last, mark = tonumber(A[1]), string.match(state, '^(%d+)(%S*)')
last = tonumber(last) or -1
if last > number then return 'stale' end
if last < number - 1 or string.sub(mark, 1, 1) == '~' then
  return {'gap', string.match(state, '^%S*')}
end
if last == number then
  if mark ~= '' then
    local kept = {}
    for slot in string.gmatch(mark, '[^!,]+') do kept[slot] = true end
-- include keep
  end
  local held = want > 0 and call('HMGET', ledger, unpack(S, base + 1, base + want)) or {}
  return {'replay', mark, unpack(held)}
end
