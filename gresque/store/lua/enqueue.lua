-- Push jobs, once: a push whose reply was lost is sent again under the same number.
--
-- A slot is used by one enqueue at a time, and its numbers rise. An error means that nothing was
-- pushed.
--
-- KEYS  1 producer (HASH)   2 queues (SET)   3 the queue (LIST)
-- ARGV  1 slot   2 number of this push   3 queue name   4 seconds until the producer expires
--       5.. jobs
-- Returns  1; 0 when it was done before, or is so late that another push has used the slot since
local producer, queues, queue = KEYS[1], KEYS[2], KEYS[3]
local A, call = ARGV, redis.call
local CHUNK = 4000 -- Lua's stack takes some 8,000 values in one unpack

-- A write comes first, one that always takes place: a replica, a primary without its replicas, and a
-- server that is full refuse the script here, before it forms an answer. (Not HDEL: a script that
-- began with what a full server allows may go on to push.)
local fresh = call('HSETNX', producer, A[1], 0) == 1
local last = fresh and 0 or tonumber(call('HGET', producer, A[1]))
if last >= tonumber(A[2]) then return 0 end

-- Whether all of it may be written shows before the first job is in its queue: the number goes
-- first, and what is refused after it (a key of another type, a command that this user may not
-- call) takes the number back.
call('HSET', producer, A[1], A[2])
call('EXPIRE', producer, A[4])
local key, done = queues, redis.pcall('SADD', queues, A[3])
for first = 5, #A, CHUNK do
  if type(done) == 'table' and done.err then break end
  key, done = queue, redis.pcall('RPUSH', queue, unpack(A, first, math.min(first + CHUNK - 1, #A)))
end
if type(done) == 'table' and done.err then
  if fresh then
    call('HDEL', producer, A[1])
  else
    call('HSET', producer, A[1], last) -- late copies of pushes before this one stay done
  end
  if not string.find(done.err, 'WRONGTYPE', 1, true) then return done end
  return redis.error_reply(done.err .. ': ' .. key)
end
return 1
