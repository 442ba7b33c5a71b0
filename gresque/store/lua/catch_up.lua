-- Bring a server up to date that has forgotten turns of a worker process: a replica that lagged was
-- promoted, or the server has started again with older data.
--
-- It takes several calls: the jobs that left the ledger in the forgotten turns, oldest turn first;
-- then the slots as they are now, and the counters. The first word of `state` says how far it is:
-- `<number>` of the last turn that the server knows, `<number>~<slot>` while it is being brought up
-- to date: the turns up to this number are done, and so are the slots below that one.
--
-- Each call names the word that it continues from, so that a call does nothing the second time, and
-- one that arrives late does nothing at all.
--
-- KEYS  1 ledger (HASH)   2-15 as in cycle.lua
--       16.. the keys of effects; with ARGV 4 = 2 the lists that jobs go back to
-- ARGV  1 first word of `state` to continue from   2 the one to write; '!' and the positions of
--       refused effects, among all that follow, are appended to it
--       3 totals to write ('reserved done failed requeued retried'): the counters get what those in
--         `state` lack; '' to leave them
--       4 1 when the server has lost all its data, the queues too; 2 when it is not known what
--         became of jobs that stand in the slots: those that are not held any more go back to their
--         lists
--       5 how many effects follow, each as seven arguments: slot, '' for that of the effect before;
--         the job's ledger entry, kind, index of its key in KEYS, a, b, c. A job is only given back
--         or put off while it is in its slot: else it is in its list, as its reservation is
--         forgotten
--       6 for how many lists follow kind and a of the effect that gives a job back to it
--       7 how many slots to clear follow; then slot and ledger entry of each one to write
--       8.. all of these
-- Returns  the first word of `state` as it is now; 'fenced' when the ledger is no longer this
--          process's; {list, …} that jobs go back to and that KEYS lack: nothing was done
local ledger, processed_stat, failed_stat = KEYS[1], KEYS[2], KEYS[3]
local own_processed, own_failed = KEYS[4], KEYS[5]
local queues, failed_queues, suspects = KEYS[6], KEYS[7], KEYS[8]
local K, A, call, pcall = KEYS, ARGV, redis.call, redis.pcall
local retried_stat, own_retried, inflight, own_inflight = KEYS[9], KEYS[10], KEYS[13], KEYS[14]
local FIRST_LIST, FIRST_EFFECT = 16, 8
local effects, lists, clear = tonumber(A[5]), tonumber(A[6]), tonumber(A[7])
local first_list = FIRST_EFFECT + 7 * effects
local first_slot = first_list + 2 * lists
local function note(_, done) return type(done) == 'table' and done.err and done or nil end

call('HDEL', ledger, 'none') -- as in cycle.lua
local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local word, totals = string.match(state, '^(%S*) ?(.*)$')
if word ~= A[1] then return word end
call('HSET', ledger, 'state', state) -- as in cycle.lua
-- include effects
-- include count_entries
local refused = {}
-- include repeat_effects
if A[4] == '2' then
-- include put_back
end
-- include catch_up_slots
