-- The effects of the forgotten turns.
local function id_of(job) return string.match(job, '.*"id":"(%x+)","generation":') end
-- A unique job may have taken another payload at its start. The server has forgotten that, too.
local function same(there, gone)
  if there == gone or not there or not gone then return there == gone end
  local id = string.find(gone, '"unique"', 1, true) and id_of(gone)
  return id and id == id_of(there)
end
-- What is known of a job that is not in its slot. One that waits in its queue runs again, and goes by
-- what is known of it there. Where nothing is known of it, its push was forgotten, too, and it has
-- only its end. On a server that has lost everything, several processes may know an end of it: the
-- later one counts.
local ENDS = {done = true, failed = true, cancelled = true}
local function at(details)
  return tonumber(string.match(details, '"ended":(%d+)') or string.match(details, '"started":(%d+)') or 0)
end
local function is_news(hash, state, details)
  local lost = A[4] == '1'
  if not ENDS[state] then return lost end
  if pcall('HSETNX', hash, 's', state) ~= 0 then return true end -- where it is refused, so is the rest
  local known = lost and pcall('HGET', hash, 'd')
  return lost and (type(known) ~= 'string' or at(known) < at(details))
end
local slot, there, is_there, is_refused
for i = FIRST_EFFECT, first_list - 1, 7 do
  local entry, kind, key = A[i + 1], A[i + 2], K[tonumber(A[i + 3])]
  if A[i] ~= '' then
    slot, is_refused = A[i], false
    there = call('HGET', ledger, slot)
    is_there = there and same(job_in(there), job_in(entry))
  end
  local wanted = is_there or test[kind] and (counts[kind] == 'failed' or A[4] == '1')
  if not is_refused and (wanted or kind == 'result' and is_news(key, A[i + 4], A[i + 5])) then
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
