-- A server that refuses this must do so before a job has moved: the turn is sent again.
call('HSET', ledger, 'state', state)
-- include effects
local kept, tried, last, index, key, second, is_refused = {}, {}, nil, nil, nil, nil, nil
local function refuse(slot, kind)
  refused, kept[slot] = refused or {}, true
  refused[#refused + 1] = slot
  local counted = counts[kind]
  if counted == 'requeued' then requeued = requeued - 1
  elseif counted == 'retried' then retried, retries = retried - 1, retries - 1
  elseif counted == 'failed' then
    processed, failed, failures = processed - 1, failed - 1, failures - 1
  else processed, done = processed - 1, done - 1 end
end
for i = FIRST_EFFECT, slots, 6 do -- all carriers are tested before the first job moves
  if A[i + 1] ~= last or A[i + 2] ~= index then -- mostly those before it have the same
    last, index = A[i + 1], A[i + 2]
    key, second = K[tonumber(index)], K[index + 1]
    if test[last] and tried[last .. key] == nil then
      tried[last .. key] = test[last](key, A[i + 3], A[i + 4], second) or false
    end
    is_refused = tried[last .. key]
  end
  if is_refused and not kept[A[i]] then refuse(A[i], last) end
end
for i = FIRST_EFFECT, slots, 6 do
  local slot, kind = A[i], A[i + 1]
  if A[i + 2] ~= index then index = A[i + 2]; key, second = K[tonumber(index)], K[index + 1] end
  local entry = takes_job[kind] and not kept[slot] and call('HGET', ledger, slot)
  local job, refusal = entry and job_in(entry), nil
  if entry and not job then
    refusal = note('move', {err = 'an entry without its length'}, 'HGET', ledger)
  elseif not kept[slot] and (job or not takes_job[kind]) then
    refusal = apply[kind](key, job, A[i + 3], A[i + 4], A[i + 5], second, index)
  end
  if refusal and test[kind] then refuse(slot, kind) end
end
if refused then
-- include keep
end
