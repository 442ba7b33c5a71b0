-- Forget a worker whose processes have all left or died.
--
-- Another master may have the same id: two machines with one host name, or two containers. While it
-- has a process the worker stays; its own end removes it.
--
-- KEYS  1 ledgers (ZSET)   2 masters (HASH)   3 workers (SET)   4 workers:heartbeat (HASH)
--       5 worker:<id>:started   6 stat:processed:<worker>   7 stat:failed:<worker>   8 stat:retried:<worker>
--       9 inflight:<worker>: no ledger holds a job that is counted there
--       10 worker:<id>:threads (SET)
-- ARGV  1 worker id
-- Returns  1; 0 when a process of the worker has a ledger still
local ledgers, masters, workers, heartbeats = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local started, own_processed, own_failed, own_retried = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local own_inflight, threads = KEYS[9], KEYS[10]
local guarded = ledgers
-- include guard
local prefix = ARGV[1] .. ':'
local processes = redis.pcall('ZRANGE', ledgers, 0, -1)
if processes.err then
  if not string.find(processes.err, 'WRONGTYPE', 1, true) then return processes end
  processes = {} -- another program's key: no process stands there
end
for _, process in ipairs(processes) do
  if string.sub(process, 1, #prefix) == prefix
    and string.find(process, '^%d+:%d+$', #prefix + 1) then return 0 end
end
redis.pcall('SREM', workers, ARGV[1])
redis.pcall('HDEL', heartbeats, ARGV[1])
redis.call('DEL', started, own_processed, own_failed, own_retried, own_inflight, threads)
redis.pcall('HDEL', masters, ARGV[1])
return 1
