-- A job that was put off waits in `later` for the lock, in the order of enqueueing. If the lock is free
-- by now, it goes back to its queue: nothing else may promote it, as at the end of a burst. Should
-- no end ever call it, the first one tries again after a minute, the second one after two: nobody
-- polls.
local function await(lock, id, queue, waiting, later, entries, member, name, known)
  local held = redis.pcall('HMGET', lock, 'id', 'by')
  if held.err then return held, 'HMGET', lock end
  if not held[1] or held[1] == id and not held[2] then
    call_back(member, queue, later, entries, name, known)
    return nil
  end
  -- Of those made in one millisecond each comes after the ones that wait already.
  local now, made = at_ms(), string.match(member, '^(%x%x%x%x%x%x%x%x%x%x%x%x)7')
  local place = (tonumber(made or '', 16) or now) * 1000
  local last = redis.pcall('ZRANGE', waiting, place + 999, place, 'BYSCORE', 'REV', 'LIMIT', 0, 1,
    'WITHSCORES')
  if last[2] then place = math.min(tonumber(last[2]) + 1, place + 999) end
  local done = redis.pcall('ZADD', waiting, 'NX', string.format('%.0f', place), member)
  if type(done) == 'table' then return done, 'ZADD', waiting end
  local rank = redis.pcall('ZRANK', waiting, member)
  rank = type(rank) == 'number' and rank or 0
  redis.pcall('PEXPIRE', waiting, DAY + MOMENT * (rank + 1))
  done = redis.pcall('ZADD', later, 'XX', now + MOMENT * (rank + 1), member)
  if type(done) == 'table' then return done, 'ZADD', later end
  return nil
end
