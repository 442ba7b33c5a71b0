-- The kinds of effects (store/effects.py): a function in `apply` for each, which returns its error,
-- and for a carrier one in `test`, which moves nothing. Nothing is read: that would be announced.
local test, apply, named, takes_job = {}, {}, {}, {requeue = true, suspect = true}
local counts = {fail = 'failed', requeue = 'requeued', suspect = 'requeued', snooze = 'requeued',
  later = 'retried', push = 'retried'}
local function lacks(right, command, key) -- it shows by an error other than that of the type
  return not string.find(right.err, 'WRONGTYPE', 1, true) and note('move', right, command, key)
end
local function may_move(push, list, index, name)
  return index and note('move', pcall('SADD', index, name), 'SADD', index)
    or lacks(pcall(push, ledger, ''), push, list) -- the ledger is no list
    or note('move', pcall('LTRIM', list, 0, -1), push, list)
end
local function put(push, list, job, name) -- the queue may have been removed meanwhile
  local refusal = note('move', pcall(push, list, job), push, list)
  if refusal then return refusal end
  named[name] = named[name] or note('count', pcall('SADD', queues, name), 'SADD', queues) or true
end
function test.fail(list, _, name) return may_move('RPUSH', list, name ~= '' and failed_queues, name) end
function apply.fail(list, _, entry) return note('move', pcall('RPUSH', list, entry), 'RPUSH', list) end
function test.requeue(queue) return may_move('LPUSH', queue) end
function apply.requeue(list, job, name) return put('LPUSH', list, job, name) end
function test.suspect(list, name) return may_move('LPUSH', list, suspects, name) end
apply.suspect = apply.requeue
function test.push(queue) return may_move('RPUSH', queue) end
function apply.push(list, _, name, job) return put('RPUSH', list, job, name) end
-- include effect_later
-- include effect_locks
-- include effect_log
-- include effect_result
-- include add_sums
function apply.sum(hash, _, kept, sums, most) return add_sums(hash, kept, sums, tonumber(most)) end
local function job_in(entry) -- the payload of a ledger entry, nil for what is none
  local digits = string.match(entry, '^(%d+)[:+@#]')
  return digits and string.sub(entry, #digits + 2 + digits)
end
