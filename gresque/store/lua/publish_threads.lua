-- A worker process publishes its longest jobs for the page of the Ruby fork, as that one's
-- workers do: names of threads, and the job of each. The fork knows a thread as
-- <worker>:<pid>:<number>; here the number stands for one job, and is never used again.
--
-- KEYS  1 ledgers (ZSET)   2 worker:<worker>:threads (SET)   3 worker:<worker>:<pid>:kills (LIST)
--       4.. worker:<worker>:<pid>:<number> (STRINGs): of jobs that have ended; of those that go on,
--       whose expiry is renewed; of new ones
-- ARGV  1 process id   2 how many bytes stand before the name of the thread in such a key
--       3 seconds until a job expires   4 how many have ended   5 how many go on
--       6.. the new jobs
-- Returns  {1 while this process is registered, else 0: then everything named here is removed;
--           {index of one that goes on and is not there any more, …}; {key, its error, …}}
--          The server announces the next kill.
local ledgers, threads, kills, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local guarded = threads
-- include guard
-- include try
local first, ended, going_on = 3, tonumber(ARGV[4]), tonumber(ARGV[5])
local function name_of(key) return string.sub(key, ARGV[2] + 1) end

-- It changes nothing, and unlike a read it is not announced at each beat of other processes.
local registered = redis.pcall('ZADD', ledgers, 'XX', 'INCR', 0, ARGV[1])
if not registered then ended, going_on = #KEYS - first, 0 end
for i = first + 1, first + ended do
  local job = KEYS[i]
  try('SREM', threads, name_of(job))
  call('DEL', job)
end
if not registered then
  call('DEL', kills)
  return {0, {}, refusals}
end

local gone = {}
for i = first + ended + 1, first + ended + going_on do
  local job = KEYS[i]
  if call('EXPIRE', job, ARGV[3]) == 0 then gone[#gone + 1] = i - first - ended
  else try('SADD', threads, name_of(job)) end
end
for i = first + ended + going_on + 1, #KEYS do
  local job = KEYS[i]
  if try('SADD', threads, name_of(job)) then
    call('SET', job, ARGV[5 + i - first - ended - going_on], 'EX', ARGV[3])
  end
end
call('EXISTS', kills)
return {1, gone, refusals}
