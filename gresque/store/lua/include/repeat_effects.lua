-- The effects of the forgotten turns.
local function id_of(job) return string.match(job, '.*"id":"(%x+)","generation":') end
-- A unique job may have taken another payload at its start. The server has forgotten that, too.
local function same(there, gone)
  if there == gone or not there or not gone then return there == gone end
  local id = string.find(gone, '"unique"', 1, true) and id_of(gone)
  return id and id == id_of(there)
end
local slot, there, is_there, is_refused
for i = FIRST_EFFECT, first_list - 1, 7 do
  local entry, kind, key = A[i + 1], A[i + 2], K[tonumber(A[i + 3])]
  if A[i] ~= '' then
    slot, is_refused = A[i], false
    there = call('HGET', ledger, slot)
    is_there = there and same(job_in(there), job_in(entry))
  end
  -- Of a server that has lost everything, a result is in no queue's way: its job runs nowhere.
  local wanted = is_there or test[kind] and (counts[kind] == 'failed' or A[4] == '1')
    or kind == 'result' and A[4] == '1'
  if wanted and not is_refused then
    local second = K[A[i + 3] + 1]
    local refusal = test[kind] and test[kind](key, A[i + 4], A[i + 5], second)
      or apply[kind](key, job_in(entry), A[i + 4], A[i + 5], A[i + 6], second,
        A[i + 3])
    if refusal and test[kind] then
      is_refused = true
      refused[#refused + 1] = (i - FIRST_EFFECT) / 7 + 1
    elseif is_there and call('HDEL', ledger, slot) == 1 then
      count_entry(there, -1)
    end
  end
end
