-- A worker process finds its ledger gone. Unless somebody recovered it, Redis has lost its data:
-- the process is registered anew, with the jobs that it still holds.
--
-- KEYS  1 workers (SET)   2 worker:<id>:started   3 ledgers (ZSET)   4 ledger (HASH)
--       5 workers:heartbeat (HASH)   6 buried (ZSET)   7 processes (HASH)
-- ARGV  1 worker id   2 start time of the master   3 process id   4 heartbeat (ISO 8601)
--       5 the heartbeat's epoch milliseconds   6 the totals to go on from, as in the ledger's state
--       7 where the process can be found, '' when that is not known for sure
--       8.. for each job it holds three: slot, queue key, payload
-- Returns  1; 0 when the process was declared dead: its jobs are somebody else's
local call = redis.call
local state = call('HGET', KEYS[4], 'state')
if state then return string.sub(state, 1, 6) == 'fenced' and 0 or 1 end -- 1: done before
if call('ZSCORE', KEYS[6], ARGV[3]) then return 0 end

call('SADD', KEYS[1], ARGV[1])
call('SET', KEYS[2], ARGV[2])
call('HSET', KEYS[5], ARGV[1], ARGV[4])
call('ZADD', KEYS[3], ARGV[5], ARGV[3])
if ARGV[7] ~= '' then call('HSET', KEYS[7], ARGV[3], ARGV[7]) end
for i = 8, #ARGV, 3 do
  call('HSET', KEYS[4], ARGV[i], #ARGV[i + 1] .. ':' .. ARGV[i + 1] .. ARGV[i + 2])
end
call('HSET', KEYS[4], 'state', '0 ' .. ARGV[6])
return 1
