-- Forget a worker whose processes have all left or died.
--
-- Another master may have the same id: two machines with one host name, or two containers. While it
-- has a process the worker stays; its own end removes it.
--
-- KEYS  1 ledgers (ZSET)   2 masters (HASH)   3 workers (SET)   4 workers:heartbeat (HASH)
--       5 worker:<id>:started   6 stat:processed:<worker>   7 stat:failed:<worker>
-- ARGV  1 worker id
-- Returns  1; 0 when a process of the worker has a ledger still
-- A write that changes nothing, whatever the key holds: a read-only server refuses here.
local first = redis.pcall('HDEL', KEYS[1], 'none')
if type(first) == 'table' and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
local prefix = ARGV[1] .. ':'
local processes = redis.pcall('ZRANGE', KEYS[1], 0, -1)
if processes.err then
  if not string.find(processes.err, 'WRONGTYPE', 1, true) then return processes end
  processes = {} -- another program's key: no process stands there
end
for _, process in ipairs(processes) do
  if string.sub(process, 1, #prefix) == prefix
    and string.find(process, '^%d+:%d+$', #prefix + 1) then return 0 end
end
redis.pcall('SREM', KEYS[3], ARGV[1])
redis.pcall('HDEL', KEYS[4], ARGV[1])
redis.call('DEL', KEYS[5], KEYS[6], KEYS[7])
redis.pcall('HDEL', KEYS[2], ARGV[1])
return 1
