-- A worker process says that it lives. What it runs it says by publish.lua.
--
-- The score in `ledgers` rises with every beat, also when the server's clock is set back: a dead
-- process is one whose score does not change. Whether this process is registered shows without a
-- read: on a tracking connection a read would be announced at the next beat of any other process.
--
-- A key of another type, or one that this user may not use, is named and stops nothing else.
-- KEYS  1 ledgers (ZSET)   2 workers:heartbeat (HASH)   3 workers (SET)   4 worker:<id>:started
--       5 masters (HASH)   6 stat:processed:<worker>   7 stat:failed:<worker>
--       8 stat:retried:<worker>   9 ledger (HASH)
-- ARGV  1 process id   2 worker id   3 now, epoch milliseconds by the server's clock
--       4 the same in ISO 8601   5 start time of the master
--       6-8 what its three counters have at least
--       9 1 to correct its counters by these, also when the worker is not missing
-- Returns  {1 while this process is registered, 2 when its worker was missing, else 0;
--           {key, its error, …}; seconds, microseconds of the server's clock}
--          A process that is not registered any more does not beat.
local ledgers, heartbeats, workers, started = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local masters, ledger, call = KEYS[5], KEYS[9], redis.call
-- include try
local guarded = ledger
-- include guard
local alive = redis.pcall('ZADD', ledgers, 'XX', 'GT', 'CH', ARGV[3], ARGV[1])
if type(alive) == 'table' then
  if not string.find(alive.err, 'WRONGTYPE', 1, true) then return alive end
  refusals = {ledgers, alive.err} -- what cannot be read says nothing: this process lives
else
  alive = alive == 1 or call('ZADD', ledgers, 'XX', 'INCR', 1, ARGV[1])
  if not alive then -- another program has removed it: a ledger that is not fenced is still ours
    local state = redis.pcall('HGET', ledger, 'state')
    alive = type(state) == 'string' and string.find(state, '^%d')
    if alive then call('ZADD', ledgers, ARGV[3], ARGV[1]) end
  end
end
local registered = alive and 1 or 0
if alive then
  try('HSET', heartbeats, ARGV[2], ARGV[4])
  try('HSETNX', masters, ARGV[2], ARGV[5])
  local missing = try('SADD', workers, ARGV[2]) == 1 -- another program removed it
  if missing then
    registered = 2
    redis.pcall('SET', started, ARGV[5], 'NX')
  end
  if missing or ARGV[9] == '1' then
    for counter = 6, 8 do
      local least = tonumber(ARGV[counter])
      local count = least > 0 and try('INCRBY', KEYS[counter], 0)
      if count and count < least then try('INCRBY', KEYS[counter], least - count) end
    end
  end
end
local now = call('TIME')
return {registered, refusals, tonumber(now[1]), tonumber(now[2])}
