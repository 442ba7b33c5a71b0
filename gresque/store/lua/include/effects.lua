-- The kinds of effects (store/effects.py): a function in `apply` for each, which returns its error,
-- if any. A carrier has one in `test`, too, which moves nothing: it returns the error of a carrier
-- that the server would refuse. Nothing is read, as a read would be announced at the next change.
local test, apply, takes_job = {}, {}, {requeue = true, suspect = true}
local function may_move(push, list, index, name)
  local refusal = index and note('move', pcall('SADD', index, name), 'SADD', index)
  -- A right shows by an error other than that of the type: the ledger is no list.
  local right = pcall(push, ledger, '')
  if not string.find(right.err, 'WRONGTYPE', 1, true) then
    refusal = refusal or note('move', right, push, list)
  end
  return refusal or note('move', pcall('LTRIM', list, 0, -1), push, list)
end
function test.fail(list, _, name) return may_move('RPUSH', list, name ~= '' and failed_queues, name) end
function apply.fail(list, _, entry) return note('move', pcall('RPUSH', list, entry), 'RPUSH', list) end
function test.requeue(queue) return may_move('LPUSH', queue) end
function apply.requeue(list, job, name)
  local refusal = note('move', pcall('LPUSH', list, job), 'LPUSH', list)
  if refusal then return refusal end
  note('count', pcall('SADD', queues, name), 'SADD', queues) -- it may have been removed meanwhile
end
function test.suspect(list, name) return may_move('LPUSH', list, suspects, name) end
apply.suspect = apply.requeue
local function job_in(entry) -- the payload of a ledger entry, nil for what is none
  local digits = string.match(entry, '^(%d+):')
  return digits and string.sub(entry, #digits + 2 + digits)
end
