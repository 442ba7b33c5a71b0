-- A worker process finds its ledger gone. Unless another one recovered it, Redis has lost its data:
-- the process is registered again, with the jobs that it still holds. Then it is brought up to date by
-- catch_up.lua, for which the word before the totals says what was lost: `0~0` all data, the queues
-- and counters too; `<number>~0` nothing but this ledger.
--
-- KEYS  1 workers (SET)   2 worker:<id>:started   3 ledgers (ZSET)   4 ledger (HASH)
--       5 workers:heartbeat (HASH)   6 fenced (ZSET)   7 processes (HASH)   8 inflight (HASH)
--       9 inflight:<worker> (HASH)
-- ARGV  1 worker id   2 start time of the master   3 process id   4 heartbeat (ISO 8601)
--       5 the heartbeat's epoch milliseconds   6 the totals that the process started from
--       7 where the process can be found, '' when that is not known for sure
--       8 number of its last turn   9 the totals after it
--       10.. for each job it holds two: slot, ledger entry; the slot is '' for a counted job that
--       has ended and is not settled yet
-- Returns  1; 0 when the process was declared dead: its jobs run elsewhere
local workers, started, ledgers, ledger = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local heartbeats, fenced, processes = KEYS[5], KEYS[6], KEYS[7]
local inflight, own_inflight = KEYS[8], KEYS[9]
local call, pcall = redis.call, redis.pcall
local function note(_, done) return type(done) == 'table' and done.err and done or nil end
-- include count_entries
call('HDEL', ledger, 'none') -- a replica refuses before it has answered anything
local state = call('HGET', ledger, 'state')
if state then return string.sub(state, 1, 6) == 'fenced' and 0 or 1 end -- 1: done before
-- A key of another type is named at the next start of a process; it stops nothing here.
if type(pcall('ZSCORE', fenced, ARGV[3])) == 'string' then return 0 end

local lost = type(pcall('ZSCORE', ledgers, ARGV[3])) ~= 'string'
pcall('SADD', workers, ARGV[1])
pcall('SET', started, ARGV[2])
pcall('HSET', heartbeats, ARGV[1], ARGV[4])
pcall('ZADD', ledgers, ARGV[5], ARGV[3])
if ARGV[7] ~= '' then pcall('HSET', processes, ARGV[3], ARGV[7]) end
for i = 10, #ARGV, 2 do
  if ARGV[i] ~= '' then call('HSET', ledger, ARGV[i], ARGV[i + 1]) end
  -- Where only the ledger is gone its jobs are counted still.
  if lost and ARGV[i] ~= '' then count_entry(ARGV[i + 1], 1) end
  if not lost and ARGV[i] == '' then count_entry(ARGV[i + 1], -1) end
end
write_counts()
call('HSET', ledger, 'state', lost and '0~0 ' .. ARGV[6] or ARGV[8] .. '~0 ' .. ARGV[9])
return 1
