-- Remove a worker of another program, by hand, and keep the jobs that it ran among the failed: all
-- of it or, where a worker has many threads, some of them at a time. It is done only if everything
-- is as it was read; what was failed is gone from there, so no job fails twice.
--
-- KEYS  1 workers (SET)   2 workers:heartbeat (HASH)   3 worker:<id> (STRING)
--       4 worker:<id>:threads (SET)   5 failed_queues (SET)
--       6.. jobs of its threads (STRINGs); then what goes with the worker; then failed lists
-- ARGV  1 worker id   2 its heartbeat   3 its job   4 how many threads
--       5 how many keys go with the worker; 0 while further threads are to follow
--       6 how many names KEYS 4 has then
--       7.. the jobs of these threads; then the names of the threads; then three for each failure:
--       index of its list in KEYS, name of that in `failed_queues` or '', entry.
--       '' stands for what is absent
-- Returns  1; 0 when something has changed since it was read: nothing was done
local workers, heartbeats, job, threads, failed_queues = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local guarded = workers
-- include guard
local first_thread, count, going = 5, tonumber(ARGV[4]), tonumber(ARGV[5])

local function is(value, command, ...)
  local found = redis.pcall(command, ...)
  return (type(found) == 'string' and found or '') == value -- of another type: absent
end
if not is(ARGV[2], 'HGET', heartbeats, ARGV[1]) or not is(ARGV[3], 'GET', job) then return 0 end
for i = 1, count do
  local thread = KEYS[first_thread + i]
  if not is(ARGV[6 + i], 'GET', thread) then return 0 end
end
local running = redis.pcall('SCARD', threads)
if going > 0 and type(running) == 'number' and running ~= tonumber(ARGV[6]) then return 0 end

local failures = 7 + 2 * count
for i = failures, #ARGV, 3 do
  local list = KEYS[tonumber(ARGV[i])]
  local writable = redis.pcall('LTRIM', list, 0, -1) -- before the first one is written
  if writable.err then return writable end
end
for i = failures, #ARGV, 3 do
  local list = KEYS[tonumber(ARGV[i])]
  redis.call('RPUSH', list, ARGV[i + 2])
  if ARGV[i + 1] ~= '' then redis.pcall('SADD', failed_queues, ARGV[i + 1]) end
end

for i = 1, count do
  local thread = KEYS[first_thread + i]
  redis.pcall('SREM', threads, ARGV[6 + count + i])
  redis.call('DEL', thread)
end
if going == 0 then return 1 end
redis.call('DEL', job, threads)
for i = first_thread + count + 1, first_thread + count + going do
  local with_it = KEYS[i]
  redis.call('DEL', with_it)
end
redis.pcall('HDEL', heartbeats, ARGV[1])
redis.call('SREM', workers, ARGV[1])
return 1
