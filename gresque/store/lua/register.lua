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
local refusals = {}
local function try(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  refusals[#refusals + 1], refusals[#refusals + 2] = key, reply.err
  return nil
end

-- Without its ledger a process cannot work. It has the process's own name, so that what stands
-- there instead is nobody's.
-- A write that changes nothing, whatever the key holds: a read-only server refuses here.
local first = redis.pcall('HDEL', KEYS[4], 'none')
if type(first) == 'table' and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
local held = redis.pcall('HLEN', KEYS[4])
if type(held) == 'table' and string.find(held.err, 'WRONGTYPE', 1, true) then
  redis.call('DEL', KEYS[4])
end
redis.call('HSET', KEYS[4], 'state', '0 ' .. ARGV[6])
redis.call('SET', KEYS[2], ARGV[2])
if try('SADD', KEYS[1], ARGV[1]) == 1 then
  for i = 8, #KEYS do
    local count = tonumber(ARGV[i])
    local value = count > 0 and try('INCRBY', KEYS[i], 0)
    if value and value < count then try('INCRBY', KEYS[i], count - value) end
  end
end
try('HSET', KEYS[5], ARGV[1], ARGV[4])
try('ZADD', KEYS[3], ARGV[5], ARGV[3])
if ARGV[7] ~= '' then try('HSET', KEYS[6], ARGV[3], ARGV[7]) end
try('HSET', KEYS[7], ARGV[1], ARGV[2])
return refusals
