-- listen.lua for the case that a turn could not take from some queues: paused, full, or held up by
-- their rate.
--
-- Pushes to these queues must not wake the process. It wakes up when the policies change, when a
-- full queue has room, or when a rate allows a job.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)
--       4 policies (HASH)   5 pause-all-workers (STRING)
--       6 inflight (HASH)   7 inflight:<worker> (HASH)   8 rates (HASH)
--       9 queues (SET)   10 suspects (SET)
--       11.. its lists; then freed:<queue> (STRING) of each of their queues
-- ARGV  1 limit   2 seconds, both as in listen.lua   3 the worker's own caps, as in cycle.lua
--       4 how many lists
-- Returns  {-1 or how many lists have jobs that are not in the way, as in listen.lua; milliseconds
--          until a rate allows a job, 0: none is in the way}
local listening, waiting, wake, call, pcall = KEYS[1], KEYS[2], KEYS[3], redis.call, redis.pcall
local queues, suspects, own_caps = KEYS[9], KEYS[10], ARGV[3]
local K, POLICIES, FIRST_LIST = KEYS, 4, 11
local last_list = FIRST_LIST - 1 + ARGV[4]
local limit, took, marks, paused, blocked, wait, freed
local is_idle = true -- it waits until a rate allows several jobs
local function note(_, done) return type(done) == 'table' and done.err and done or nil end
-- include stand_in_line
if not listens then return {-1, 0} end
-- include read_policies
local freed_of, found = {}, 0
for i = last_list + 1, #K do freed_of[string.sub(K[i], #queues + 1)] = K[i] end
for q = FIRST_LIST, last_list do
  local room, flag, queue, is_full = 1, nil, nil, false
-- include limit_of
  if queue then took(0) end
  if room > 0 then
    local jobs = pcall('LLEN', K[q]) -- of another type: nothing can be taken, so do not look again
    if type(jobs) == 'number' and jobs > 0 then found = found + 1 end
  elseif is_full then
    call('EXISTS', freed_of[queue])
  end
end
return {found, wait or 0}
