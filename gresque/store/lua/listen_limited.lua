-- listen.lua for the case that a turn could not take from some queues: paused, full, or held up by
-- their rate.
--
-- Pushes to these queues must not wake the process. It wakes up when the policies change, when a
-- full queue has room, or when a rate allows a job.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)
--       4 polls (STRING)
--       5 policies (HASH)   6 pause-all-workers (STRING)
--       7 inflight (HASH)   8 inflight:<worker> (HASH)   9 rates (HASH)
--       10 queues (SET)   11 suspects (SET)
--       12.. its lists; then freed:<queue> (STRING) of each of their queues
-- ARGV  1-3 as in listen.lua   4 the worker's own caps, as in cycle.lua   5 how many lists
-- Returns  {milliseconds until a rate allows a job, 0: none is in the way; -1 or how many lists have
--          jobs that are not in the way; the others as in listen.lua}
local listening, waiting, wake, polls = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call, pcall, queues, suspects, own_caps = redis.call, redis.pcall, KEYS[10], KEYS[11], ARGV[4]
local K, POLICIES, FIRST_LIST = KEYS, 5, 12
local last_list = FIRST_LIST - 1 + ARGV[5]
local limit, took, marks, paused, blocked, wait, freed
local is_idle = true -- it waits until a rate allows several jobs
local function note(_, done) return type(done) == 'table' and done.err and done or nil end
-- include stand_in_line
if not listens then return {0, -1, unpack(place)} end
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
return {wait or 0, found, unpack(place)}
