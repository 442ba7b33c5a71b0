-- Set the counters of jobs in flight to what the ledgers say. The result is exact while workers
-- run: each script moves a job and its count together, and this one sees all ledgers and counters
-- between two such scripts.
--
-- KEYS  1 ledgers (ZSET)   2 inflight (HASH)   3.. inflight:<worker> (HASHes)
--       then the ledgers (HASHes), those of one worker after the other
--       then freed:<queue> of the queues that are counted (STRINGs)
-- ARGV  1 what the keys of ledgers begin with, before the process id   2 number of workers
--       3.. how many ledgers each of them has   then the names of the queues of freed:<queue>
-- Returns  {{counter, queue, count before, count now, …}, {key, its error, …}}; where a ledger cannot
--          be read nothing is corrected;
--          'again' when a process has a ledger that KEYS lack: nothing was done
local ledgers, inflight, K, A = KEYS[1], KEYS[2], KEYS, ARGV
local guarded = ledgers
-- include guard
local workers = tonumber(A[2])
local own_inflight, known, pcall, drifts = nil, {}, redis.pcall, {}
-- include try
local function note(_, done) return type(done) == 'table' and done.err and done or nil end
-- include count_entries
local last = 2 + workers
for w = 1, workers do last = last + A[2 + w] end
for i = 3 + workers, last do known[K[i]] = true end
for _, process in ipairs(try('ZRANGE', ledgers, 0, -1) or {}) do
  if not known[A[1] .. process] then return 'again' end
end
local ledger = 3 + workers
for w = 1, workers do
  own_inflight = K[2 + w]
  for i = ledger, ledger + A[2 + w] - 1 do
    for _, value in ipairs(try('HVALS', K[i]) or {}) do count_entry(value, 1) end
  end
  ledger = ledger + A[2 + w]
end
if #refusals > 0 then return {drifts, refusals} end -- a ledger that was not read must not count as 0
local held, lowered = changes, {}
changes = {}
local function correct(counter, queue, count, now)
  local before = tonumber(count)
  if before == now then return end
  local done
  if now == 0 then done = try('HDEL', counter, queue) else done = try('HSET', counter, queue, now) end
  if not done then return end
  lowered[queue] = lowered[queue] or not before or before > now
  for _, part in ipairs({counter, queue, count, tostring(now)}) do drifts[#drifts + 1] = part end
end
for i = 2, 2 + workers do
  local counts, queues = try('HGETALL', K[i]) or {}, held[K[i]] or {}
  for j = 1, #counts, 2 do
    correct(K[i], counts[j], counts[j + 1], queues[counts[j]] or 0)
    queues[counts[j]] = nil
  end
  for queue, now in pairs(queues) do correct(K[i], queue, '0', now) end
end
for i = last + 1, #K do bells[K[i]] = lowered[A[2 + workers + i - last]] or nil end
write_counts()
return {drifts, refusals}
