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
--       16.. the lists to reserve from, in priority order; then the keys of effects
-- ARGV  1 sequence number of this turn; a turn whose reply was lost is sent again under the same
--       2 want: how many jobs to reserve at most
--       3 1 to have the server announce the next push when nothing was found
--       4-8 totals of the process before this turn's reservation: reserved, done, failed, requeued,
--       retried   9 jobs that ended in this turn, failed ones included   10 those that failed
--       11 those that are retried   12 how many lists to reserve from   13 how many effects follow,
--       each as six arguments: slot (also among the ended ones), kind, index of its key in KEYS
--       (a second one stands behind it), a, b, c (effects.lua)
--       14 how many ended slots follow, then free ones; want is at most their sum
--       15.. effects, ended slots, free slots
-- Returns  {list index from 0, {payload, …}, list index, …}: payloads fill the slots in order;
--          {'refused', {slot, …}, {what, command, key, error, …}, the above}: the jobs in these
--          slots stay there, payloads do not fill them. What is 'move' for a job that stays in its
--          slot, 'count' for something else that is skipped, 'look' for a list that cannot be read;
--          {'replay', '' or '!slot,…' of refused ones, entry or false, …} of the first `want` slots
--          (without the refused ones) when this turn was done before;
--          {'gap', first word of `state`} when the server has forgotten turns of this process, or
--          catching up with them (catch_up.lua) is not finished: nothing was done;
--          'fenced' when the ledger is no longer this process's: it was declared dead;
--          'stale' to a request that arrives after a later one was done: the process has gone on.
local ledger, processed_stat, failed_stat = KEYS[1], KEYS[2], KEYS[3]
local own_processed, own_failed, own_retried = KEYS[4], KEYS[5], KEYS[10]
local queues, failed_queues, suspects, retried_stat = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local K, A, call, pcall, guarded = KEYS, ARGV, redis.call, redis.pcall, ledger
local FIRST_LIST, FIRST_EFFECT, CHUNK = 16, 15, 4000 -- one unpack takes some 8,000
local want, effects, ended = tonumber(A[2]), tonumber(A[13]), tonumber(A[14])
local last_list, slots = FIRST_LIST - 1 + A[12], FIRST_EFFECT - 1 + 6 * effects
local S, base = A, slots -- the slots that can be filled are S[base + 1], …
local done, failed, requeued, retried = A[5], A[6], A[7], A[8]
local processed, failures, retries = tonumber(A[9]), tonumber(A[10]), tonumber(A[11])
local refused, notes, noted -- tables once there is something in them
local out, o, reserved = {}, 0, 0
-- include guard
if type(first) == 'table' then call('DEL', ledger) end -- another program's: ours is written again
-- include number
-- include note
if effects > 0 then
-- include settle
end
if want > 0 then
-- include reserve
end
-- include acknowledge
if refused or notes then return {'refused', refused or {}, notes or {}, out} end
return out
