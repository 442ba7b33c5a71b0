-- One turn of a worker process: settle what has ended, reserve more.
--
-- A job stands in the ledger from the moment it leaves its list until its end is settled here. New
-- jobs go into the slots of ended ones: overwriting a slot acknowledges the job that was in it.
--
-- KEYS  1 ledger (HASH)   2 stat:processed   3 stat:failed
--       4 stat:processed:<worker>   5 stat:failed:<worker>   6 queues (SET)
--       7 failed_queues (SET)   8 suspects (SET)   9 stat:retried   10 stat:retried:<worker>
--       11 policies (HASH)   12 pause-all-workers (STRING)   13 inflight (HASH)
--       14 inflight:<worker> (HASH)   15 rates (HASH)
--       16.. the lists to reserve from, in priority order; the keys of effects; freed:<queue>
--       (STRING) of the queues of counted jobs that have ended
-- ARGV  1 sequence number of this turn; a turn whose reply was lost is sent again under the same
--       2 want: how many jobs to reserve at most
--       3 1 to have the server announce the next push when nothing was found
--       4-8 totals of the process before this turn's reservation: reserved, done, failed, requeued,
--       retried   9 jobs that ended in this turn, failed ones included   10 those that failed
--       11 those that are retried   12 how many lists to reserve from   13 how many effects follow,
--       each as six arguments: slot (also among the ended ones; empty for counts of no job), kind,
--       index of its key in KEYS (a second one stands behind it), a, b, c (effects.lua)
--       14 how many ended slots follow, then free ones; want is at most their sum
--       15 the worker's own caps, `<list index>=<cap>` separated by blanks   16 how many freed:<queue>,
--       and of each how many ended jobs count in inflight and inflight:<worker>, `2 5/0 0/3`; without
--       that the jobs' entries say it   17.. effects, ended slots, free slots
-- Returns  {list index from 0, {payload, …}, list index, …}: payloads fill the slots in order. An index
--          has 1000 added where the jobs are counted with the flag '+', 2000 for '@', 3000 for '#';
--          {'refused', {slot, …}, {what, command, key, error, …}, the above, milliseconds until a
--          rate allows a job (0: at once), {index of a paused list, …}, {of one that is full or has
--          to wait for its rate, …}}: the jobs in these slots stay there, payloads do not fill them.
--          What is 'move' for a job that stays in its slot, 'count' for something else that is
--          skipped, 'look' for a list that cannot be read;
--          {'replay', '' or '!slot,…' of refused ones, entry or false, …} of the first `want` slots
--          (without the refused ones) when this turn was done before;
--          {'gap', first word of `state`} when the server has forgotten turns of this process, or
--          catching up with them (catch_up.lua) is not finished: nothing was done;
--          'fenced' when the ledger is no longer this process's: it was declared dead;
--          'stale' to a request that arrives after a later one was done: the process has gone on.
-- include turn_arguments
-- include guard
if type(first) == 'table' then call('DEL', ledger) end -- another program's: ours is written again
-- include number
-- include note
if effects > 0 then
-- include settle
end
if A[16] ~= '0' then
  local inflight, own_inflight = K[POLICIES + 2], K[POLICIES + 3]
-- include count_off
end
if want > 0 then
  local own_caps = A[15]
-- include read_policies
-- include reserve
  if paused and #paused == 0 and #blocked == 0 then paused = nil end
end
-- include acknowledge
if refused or notes or paused then
  return {'refused', refused or {}, notes or {}, out, wait or 0, paused or {}, blocked or {}}
end
return out
