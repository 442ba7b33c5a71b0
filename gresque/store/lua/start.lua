-- Start unique jobs that need it: their lock is released before they run (mode `queued`), is taken
-- while they run (`running`), or may hold another payload for them.
--
-- A process sends this between two turns, so it carries the number of the last one. A server that
-- stands at another turn does nothing: a turn goes first, which brings it up to date. Sent again it
-- says the same.
--
-- KEYS  1 ledger (HASH)   2 queues (SET)   3.. for each job three: its lock (HASH), its queue (LIST),
--       the jobs that wait for the lock (ZSET)
-- ARGV  1 number of the last turn   2 process id   3.. for each job six: its slot; mode; '1' when the
--       lock may hold another payload for it; its id, class and queue
-- Returns  'turn' when a turn must go first; else {for each job: 1 when it may run, or the payload
--          with which; 0 when another job has the lock; -1 when the lock is refused,
--          {key, its error, …}}
local ledger, queues, A = KEYS[1], KEYS[2], ARGV
local guarded = ledger
-- include guard
-- include try
-- include unlock
local state = redis.call('HGET', ledger, 'state')
if not state or string.match(state, '^(%d+)[! ]') ~= A[1] then return 'turn' end
-- include start_one
local answers, key = {}, 3
for i = 3, #A, 6 do
  local slot, mode, id, name = A[i], A[i + 1], A[i + 3], A[i + 5]
  local lock, queue, waiting = KEYS[key], KEYS[key + 1], KEYS[key + 2]
  local answer = A[i + 2] == '1' and take_payload(lock, id, slot) or 1
  if mode == 'queued' then
    refused(unlock(lock, id, queue, name, queues))
  elseif mode == 'running' then
    answer = take_lock(lock, waiting, id, slot, A[i + 4], name)
  end
  answers[#answers + 1], key = answer, key + 3
end
return {answers, refusals}
