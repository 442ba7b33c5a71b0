-- A worker process says that it lives, what it runs, and asks who has died.
--
-- KEYS  1 ledgers (ZSET)   2 workers:heartbeat (HASH)   3 running (STRING)   4 processes (HASH)
-- ARGV  1 process id   2 worker id   3 now, epoch milliseconds by the server's clock
--       4 the same in ISO 8601   5 what runs: JSON, '' for nothing   6 seconds until that expires
--       7 processes without a beat since this epoch millisecond are dead   8 the same in ISO 8601
--       9 a machine, or '' not to ask for its processes
-- Returns  {{dead process, …}, {worker without a heartbeat since then, …},
--          {process of the machine, where it is found, …}, 1 while this process is registered};
--          100 dead processes at most. A process that is not registered any more does not beat.
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
if last then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
  if ARGV[5] ~= '' then redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[6])
  else redis.call('DEL', KEYS[3]) end
end
local near = {}
if ARGV[9] ~= '' then
  local processes, machine = redis.call('HGETALL', KEYS[4]), ARGV[9] .. ' '
  for i = 1, #processes, 2 do
    if string.sub(processes[i + 1], 1, #machine) == machine then
      near[#near + 1], near[#near + 2] = processes[i], processes[i + 1]
    end
  end
end
-- Nobody could beat for a while, as this process could not: Redis was away, or the machine slept.
if last and tonumber(last) < tonumber(ARGV[7]) then return {{}, {}, near, 1} end
local workers, stale = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #workers, 2 do
  if workers[i + 1] < ARGV[8] then stale[#stale + 1] = workers[i] end
end
return {redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[7], 'LIMIT', 0, 100), stale, near,
  last and 1 or 0}
