-- Is this turn the one after the last that the server knows? Sent again, it answers from the ledger.
local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local last, mark = string.match(state, '^(%d+)(%S*)')
last = tonumber(last) or -1
if last > tonumber(A[1]) then return 'stale' end
if last < A[1] - 1 or mark:sub(1, 1) == '~' then return {'gap', string.match(state, '^%S*')} end
local function keep(kept) -- the jobs in these slots stay there: the others can be filled
  S, base = {}, 0
  for i = slots + 1, #A do
    if not kept[A[i]] then
      S[#S + 1] = A[i]
    elseif i <= slots + tonumber(A[14]) then
      ended = ended - 1
    end
  end
  want = math.min(want, #S)
end
if last == tonumber(A[1]) then
  if mark ~= '' then
    local kept = {}
    for slot in string.gmatch(mark, '[^!,]+') do kept[slot] = true end
    keep(kept)
  end
  local held = want > 0 and call('HMGET', ledger, unpack(S, base + 1, base + want)) or {}
  return {'replay', mark, unpack(held)}
end
