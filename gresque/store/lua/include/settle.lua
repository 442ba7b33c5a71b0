-- A server that refuses to change the ledger must do so before a job has moved: the turn is sent
-- again, and would move it again.
call('HSET', ledger, 'state', state)
-- include effects
local kept, tried = {}, {}
local function refuse(slot, kind)
  refused = refused or {}
  refused[#refused + 1] = slot
  kept[slot] = true
  local counted = counts[kind]
  if counted == 'requeued' then requeued = requeued - 1
  elseif counted == 'retried' then retried, retries = retried - 1, retries - 1
  elseif counted == 'failed' then
    processed, failed, failures = processed - 1, failed - 1, failures - 1
  else processed, done = processed - 1, done - 1 end
end
for i = FIRST_EFFECT, slots, 6 do -- all carriers are tested before the first job moves
  local slot, kind, key = A[i], A[i + 1], K[tonumber(A[i + 2])]
  if test[kind] and tried[kind .. key] == nil then
    tried[kind .. key] = test[kind](key, A[i + 3], A[i + 4], K[A[i + 2] + 1]) or false
  end
  if tried[kind .. key] and not kept[slot] then refuse(slot, kind) end
end
for i = FIRST_EFFECT, slots, 6 do
  local slot, kind, key = A[i], A[i + 1], K[tonumber(A[i + 2])]
  local entry = takes_job[kind] and not kept[slot] and call('HGET', ledger, slot)
  local job, refusal = entry and job_in(entry), nil
  if entry and not job then
    refusal = note('move', {err = 'an entry without its length'}, 'HGET', ledger)
  elseif not kept[slot] and (job or not takes_job[kind]) then
    refusal = apply[kind](key, job, A[i + 3], A[i + 4], A[i + 5], K[A[i + 2] + 1])
  end
  if refusal and test[kind] then refuse(slot, kind) end
end
if refused then keep(kept) end
