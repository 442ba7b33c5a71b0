-- A worker process says that it lives and what it runs, and looks for dead ones.
--
-- The score in `ledgers` rises with every beat, whatever the server's clock does: others know a
-- dead process by a score that does not change. Whether this process is registered shows without a
-- read: on a tracking connection a read would be announced at the next beat of any other process.
--
-- A key of another type, or one that this user may not use, is named and stops nothing else.
--
-- KEYS  1 ledgers (ZSET)   2 workers:heartbeat (HASH)   3 running (STRING)   4 processes (HASH)
--       5 workers (SET)   6 worker:<id>:started   7 masters (HASH)
--       8 stat:processed:<worker>   9 stat:failed:<worker>   10 ledger (HASH)
-- ARGV  1 process id   2 worker id   3 now, epoch milliseconds by the server's clock
--       4 the same in ISO 8601   5 what runs: JSON, '' for nothing   6 seconds until that expires
--       7 1 to look for the dead   8 a machine, or '' not to ask for its processes
--       9 start time of the master   10 jobs that the worker has processed, 11 failed, at least
--       12 1 to correct its counters by these, also when the worker is not missing
-- Returns  {1 while this process is registered, 2 when its worker was missing, else 0;
--           {process, score, …}, {registered worker, …},
--           {process of the machine, where it is found, …}, {key, its error, …}}: the lists but the
--           last are empty without a look.
--          A process that is not registered any more does not beat.
local ledgers, heartbeats, running, processes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local workers, started, masters = KEYS[5], KEYS[6], KEYS[7]
local own_processed, own_failed, ledger = KEYS[8], KEYS[9], KEYS[10]
local call = redis.call
-- include try

local function at_least(key, count)
  local value = try('INCRBY', key, 0)
  if value and value < count then try('INCRBY', key, count - value) end
end

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
  try('HSETNX', masters, ARGV[2], ARGV[9])
  local missing = try('SADD', workers, ARGV[2]) == 1 -- another program removed it
  if missing then
    registered = 2
    redis.pcall('SET', started, ARGV[9], 'NX')
  end
  if missing or ARGV[12] == '1' then
    if ARGV[10] ~= '0' then at_least(own_processed, tonumber(ARGV[10])) end
    if ARGV[11] ~= '0' then at_least(own_failed, tonumber(ARGV[11])) end
  end
  if ARGV[5] ~= '' then call('SET', running, ARGV[5], 'EX', ARGV[6])
  else call('DEL', running) end
end

local near, beats, known = {}, {}, {}
if ARGV[8] ~= '' then
  local found, machine = try('HGETALL', processes) or {}, ARGV[8] .. ' '
  for i = 1, #found, 2 do
    if string.sub(found[i + 1], 1, #machine) == machine then
      near[#near + 1], near[#near + 2] = found[i], found[i + 1]
    end
  end
end
if ARGV[7] == '1' then
  beats = try('ZRANGE', ledgers, 0, -1, 'WITHSCORES') or {}
  known = try('HKEYS', masters) or {}
end
return {registered, beats, known, near, refusals}
