-- Push jobs, once: a push whose reply was lost is sent again under the same number.
--
-- A slot is used by one enqueue at a time, and its numbers rise. An error means that nothing was
-- pushed.
--
-- KEYS  1 producer (HASH)   2 queues (SET)   3 the queue (LIST)
--       4.. of tracked jobs the state of each (HASH)
-- ARGV  1 slot   2 number of this push   3 queue name   4 seconds until the producer expires
--       5 1 to count these from now on; for a new slot they always are   6.. jobs; behind those of
--       tracked ones their class, and for how many ms a result is kept
-- Returns  1; 0 when it was done before, or is so late that another push has used the slot since
local producer, queues, queue = KEYS[1], KEYS[2], KEYS[3]
local A, call = ARGV, redis.call
local CHUNK = 4000 -- Lua's stack takes some 8,000 values in one unpack

local is_tracked = KEYS[4] ~= nil
local last_job = is_tracked and #A - 2 or #A
-- include take_number
-- Whether all of it may be written shows before the first job is in its queue; what is refused (a
-- key of another type, a command that this user may not call) takes the number back. Late copies of
-- pushes before this one stay done.
local key, done = queues, redis.pcall('SADD', queues, A[3])
for first = 6, last_job, CHUNK do
  if type(done) == 'table' and done.err then break end
  key, done = queue, redis.pcall('RPUSH', queue, unpack(A, first, math.min(first + CHUNK - 1, last_job)))
end
if type(done) == 'table' and done.err then
  call('HINCRBY', producer, A[1], last - number)
  if not string.find(done.err, 'WRONGTYPE', 1, true) then return done end
  return redis.error_reply(done.err .. ': ' .. key)
end
if is_tracked then
-- include track
  for i = 4, #KEYS do track(KEYS[i], 'queued', A[#A - 1], A[3], A[#A] + DAY_MS) end
end
return 1
