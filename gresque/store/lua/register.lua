-- Make a worker process known and give it its ledger. A key of another type, or one that this user
-- may not write, is named and does not keep the process from working.
--
-- KEYS  1 workers (SET)   2 worker:<id>:started   3 ledgers (ZSET)   4 ledger (HASH)
--       5 workers:heartbeat (HASH)   6 processes (HASH)   7 masters (HASH)
--       8 stat:processed:<worker>   9 stat:failed:<worker>
-- ARGV  1 worker id   2 start time of the master   3 process id   4 heartbeat (ISO 8601)
--       5 the heartbeat's epoch milliseconds   6 the totals to start from, as in the ledger's state
--       7 where the process can be found, '' when that is not known for sure
--       8 jobs that the worker has processed, 9 failed, at least: its counters are corrected by
--       these when the worker is missing
-- Returns  {key, its error, …} of what was refused
local workers, started, ledgers, ledger = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local heartbeats, processes, masters = KEYS[5], KEYS[6], KEYS[7]
-- include try

-- Without its ledger a process cannot work. It has the process's own name, so a key of another type
-- there is of no use to any process.
local guarded = ledger
-- include guard
local held = redis.pcall('HLEN', ledger)
if type(held) == 'table' and string.find(held.err, 'WRONGTYPE', 1, true) then
  redis.call('DEL', ledger)
end
redis.call('SET', started, ARGV[2])
redis.call('HSET', ledger, 'state', '0 ' .. ARGV[6]) -- after the other one that may be refused
if try('SADD', workers, ARGV[1]) == 1 then
  for i = 8, #KEYS do
    local count = tonumber(ARGV[i])
    local value = count > 0 and try('INCRBY', KEYS[i], 0)
    if value and value < count then try('INCRBY', KEYS[i], count - value) end
  end
end
try('HSET', heartbeats, ARGV[1], ARGV[4])
try('ZADD', ledgers, ARGV[5], ARGV[3])
if ARGV[7] ~= '' then try('HSET', processes, ARGV[3], ARGV[7]) end
try('HSET', masters, ARGV[1], ARGV[2])
return refusals
