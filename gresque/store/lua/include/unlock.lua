-- The locks of unique jobs (docs/keys.md). Each function returns the error of a command that is
-- refused, the command and the key; nil where none is.
local DAY, MOMENT = 86400000, 60000 -- ms
local function at_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- The job has ended: its lock goes. A run that was asked for meanwhile goes to the end of the queue
-- and gets the lock. One that the queue refuses stays in the lock, for the sweep of the maintenance
-- process. A payload that the job should have taken at its start, and did not take, is such a run,
-- too.
local function unlock(lock, id, queue, name, known)
  local held = redis.pcall('HMGET', lock, 'id', 'again', 'again_id', 'payload', 'ttl', 'mode')
  if held.err then return held, 'HMGET', lock end
  if held[1] ~= id then return nil end
  local run = name ~= '' and (held[2] or held[4])
  local done = run and redis.pcall('RPUSH', queue, run) or redis.pcall('DEL', lock)
  if type(done) == 'table' then
    redis.pcall('PEXPIRE', lock, DAY)
    return done, run and 'RPUSH' or 'DEL', run and queue or lock
  end
  if not run then return nil end
  redis.pcall('SADD', known, name)
  redis.pcall('HDEL', lock, 'again', 'again_id', 'payload', 'replace', 'first')
  redis.pcall('HSET', lock, 'id', held[2] and held[3] or id, 'queue', name, 'since', at_ms())
  local mark = string.sub(lock, -32) .. '","' .. (held[6] or '') .. '","replace"'
  if string.find(run, mark, 1, true) then redis.pcall('HSET', lock, 'replace', 1) end
  redis.pcall('PEXPIRE', lock, held[5] or DAY)
  return nil
end
