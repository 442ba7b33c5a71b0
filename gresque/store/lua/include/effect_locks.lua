-- include unlock
-- include pass_on
-- include await
local function noted(done, command, key)
  return done and note('count', done, command, key)
end
function apply.unlock(lock, _, name, id, _, queue) return noted(unlock(lock, id, queue, name, queues)) end
function apply.pass_on(lock, _, name, id, _, queue, at)
  return noted(pass_on(lock, id, queue, KEYS[at + 2], KEYS[at + 3], KEYS[at + 4], name, queues))
end
function apply.await(lock, _, name, id, _, queue, at)
  return noted(await(lock, id, queue, KEYS[at + 2], KEYS[at + 3], KEYS[at + 4], put_off_as, name, queues))
end
-- include outlive
function apply.prolong(lock, _, _, id, delay) -- the lock outlives the wait for another attempt
  return note('count', outlive(lock, id, delay), 'PEXPIRE', lock)
end
