-- A worker process says that it lives and what it runs.
--
-- The score in `ledgers` rises with every beat, also when the server's clock is set back: a dead
-- process is one whose score does not change. Whether this process is registered shows without a
-- read: on a tracking connection a read would be announced at the next beat of any other process.
--
-- A key of another type, or one that this user may not use, is named and stops nothing else.
-- KEYS  1 ledgers (ZSET)   2 workers:heartbeat (HASH)   3 running (STRING)   4 workers (SET)
--       5 worker:<id>:started   6 masters (HASH)
--       7 stat:processed:<worker>   8 stat:failed:<worker>   9 stat:retried:<worker>
--       10 ledger (HASH)   11 watch (STRING)   12 waits (STRING)
-- ARGV  1 process id   2 worker id   3 now, epoch milliseconds by the server's clock
--       4 the same in ISO 8601   5 what runs: JSON, '' for nothing   6 seconds until that expires
--       7 start time of the master   8-10 what its three counters have at least
--       11 1 to correct its counters by these, also when the worker is not missing
--       12 what its jobs wait on: JSON, '' while nobody looks   13 seconds until that expires
-- Returns  {1 while this process is registered, 2 when its worker was missing, else 0;
--           {key, its error, …}; 1 while a viewer looks at what jobs wait on, else 0}
--          A process that is not registered any more does not beat.
local ledgers, heartbeats, running = KEYS[1], KEYS[2], KEYS[3]
local workers, started, masters = KEYS[4], KEYS[5], KEYS[6]
local ledger, watch, waits, call = KEYS[10], KEYS[11], KEYS[12], redis.call
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
  try('HSETNX', masters, ARGV[2], ARGV[7])
  local missing = try('SADD', workers, ARGV[2]) == 1 -- another program removed it
  if missing then
    registered = 2
    redis.pcall('SET', started, ARGV[7], 'NX')
  end
  if missing or ARGV[11] == '1' then
    for counter = 7, 9 do
      local least = tonumber(ARGV[counter + 1])
      local count = least > 0 and try('INCRBY', KEYS[counter], 0)
      if count and count < least then try('INCRBY', KEYS[counter], least - count) end
    end
  end
  if ARGV[5] ~= '' then call('SET', running, ARGV[5], 'EX', ARGV[6])
  else call('DEL', running) end
  if ARGV[12] ~= '' then try('SET', waits, ARGV[12], 'EX', ARGV[13]) end
end
-- The length of it: this changes nothing, and unlike a read it is not announced.
local watched = try('SETRANGE', watch, 0, '') or 0
return {registered, refusals, watched > 0 and 1 or 0}
