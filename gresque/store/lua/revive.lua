-- A worker process finds its ledger gone. Unless somebody recovered it, Redis has lost its data:
-- the process is registered anew, with the jobs that it still holds. Then it is brought up to date by
-- catch_up.lua, for which the word before the totals says what was lost: `0~0` all data, the queues
-- and counters too; `<number>~0` nothing but this ledger.
--
-- KEYS  1 workers (SET)   2 worker:<id>:started   3 ledgers (ZSET)   4 ledger (HASH)
--       5 workers:heartbeat (HASH)   6 fenced (ZSET)   7 processes (HASH)
-- ARGV  1 worker id   2 start time of the master   3 process id   4 heartbeat (ISO 8601)
--       5 the heartbeat's epoch milliseconds   6 the totals that the process started from
--       7 where the process can be found, '' when that is not known for sure
--       8 number of its last turn   9 the totals after it
--       10.. for each job it holds three: slot, queue key, payload
-- Returns  1; 0 when the process was declared dead: its jobs are somebody else's
local call, pcall = redis.call, redis.pcall
call('HDEL', KEYS[4], 'none') -- a replica refuses before it has answered anything
local state = call('HGET', KEYS[4], 'state')
if state then return string.sub(state, 1, 6) == 'fenced' and 0 or 1 end -- 1: done before
-- A key of another type is named at the next start of a process; it stops nothing here.
if type(pcall('ZSCORE', KEYS[6], ARGV[3])) == 'string' then return 0 end

local lost = type(pcall('ZSCORE', KEYS[3], ARGV[3])) ~= 'string'
pcall('SADD', KEYS[1], ARGV[1])
pcall('SET', KEYS[2], ARGV[2])
pcall('HSET', KEYS[5], ARGV[1], ARGV[4])
pcall('ZADD', KEYS[3], ARGV[5], ARGV[3])
if ARGV[7] ~= '' then pcall('HSET', KEYS[7], ARGV[3], ARGV[7]) end
for i = 10, #ARGV, 3 do
  call('HSET', KEYS[4], ARGV[i], #ARGV[i + 1] .. ':' .. ARGV[i + 1] .. ARGV[i + 2])
end
call('HSET', KEYS[4], 'state', lost and '0~0 ' .. ARGV[6] or ARGV[8] .. '~0 ' .. ARGV[9])
return 1
