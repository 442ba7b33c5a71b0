-- Enqueue the job of a tick and set the next one, unless another process did it, or the entry was
-- changed, paused or removed: so a tick runs once, however many processes see that it is due.
--
-- KEYS  1 cron (HASH)   2 cron:next (ZSET)   3 cron:last (HASH)   4 delayed:last_enqueued_at (HASH)
--       5 queues (SET)   6 the queue (LIST)   7 the lock of its job (HASH), where ARGV says that
-- ARGV  1 name of the entry   2 its JSON as it was read   3 its tick as it was read, in ms
--       4 its next tick in ms; empty: it has none   5 name of the queue
--       6 the job; empty: the tick was missed, and does not run   7 the tick that runs and the job's
--       id, for cron:last   8 the time, as Ruby writes it
--       9-13 of a job with a lock: its id, the lock's mode, the name of the job, the text of the key,
--       ms until the lock expires
-- Returns  1; 0 when nothing was done; 2 when the tick does not run, as another job has the lock
local cron, next, last, shown, queues, queue, lock = unpack(KEYS)
local name, json, tick, following, queue_name, job = unpack(ARGV)
local call, pcall = redis.call, redis.pcall
local guarded = next -- not cron: an entry may have any name
-- include guard

local function set(due)
  if due == '' then return call('ZREM', next, name) end
  return call('ZADD', next, due, name)
end

local score = tonumber(call('ZSCORE', next, name) or nil)
-- One that was written by hand may be a fraction or infinite: store/cron.py.
if not score or math.floor(math.min(math.max(score, 0), 253370764800000)) ~= tonumber(tick) then
  return 0
end
if call('HGET', cron, name) ~= json then return 0 end
-- It goes first: were it refused after the push, the tick would run again and again.
set(following)
if job == '' then return 1 end
local locks = ARGV[9] and ARGV[10] ~= 'running'
if locks and type(pcall('HGET', lock, 'id')) == 'string' then return 2 end

local key, done = queues, pcall('SADD', queues, queue_name)
if type(done) ~= 'table' then
  key, done = queue, pcall('RPUSH', queue, job)
end
if type(done) == 'table' then
  set(tick)
  return redis.error_reply(done.err .. ': ' .. key)
end
if locks then
  local time = call('TIME')
  pcall('HSET', lock, 'id', ARGV[9], 'mode', ARGV[10], 'class', ARGV[11], 'key', ARGV[12],
    'queue', queue_name, 'since', time[1] * 1000 + math.floor(time[2] / 1000), 'ttl', ARGV[13])
  pcall('PEXPIRE', lock, ARGV[13])
end
pcall('HSET', last, name, ARGV[7])
pcall('HSET', shown, name, ARGV[8])
return 1
