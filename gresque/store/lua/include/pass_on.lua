-- A job of mode `running` has ended or goes back: its lock goes to the first one that waits for it,
-- which goes to the head of its queue, or is due where it is of another queue. It has the lock for
-- a minute, so that no later job starts before it; then its start takes it.
local function pass_on(lock, id, queue, waiting, later, entries, name, known)
  local holder = redis.pcall('HGET', lock, 'id')
  if type(holder) == 'table' then return holder, 'HGET', lock end
  if holder ~= id then return nil end
  local head = #queue .. ':' .. queue
  while true do
    local first = redis.pcall('ZPOPMIN', waiting)
    local member = not first.err and first[1]
    if not member then
      local done = first.err and first or redis.pcall('DEL', lock)
      if type(done) ~= 'table' then return nil end
      redis.pcall('DEL', lock)
      return done, first.err and 'ZPOPMIN' or 'DEL', first.err and waiting or lock
    end
    local entry, due = redis.pcall('HGET', entries, member), redis.pcall('ZSCORE', later, member)
    if type(entry) == 'string' and type(due) == 'string' then
      local pushed = string.sub(entry, 1, #head) == head
        and redis.pcall('LPUSH', queue, string.sub(entry, #head + 1))
      if type(pushed) == 'number' then
        redis.pcall('SADD', known, name)
        redis.call('ZREM', later, member)
        redis.call('HDEL', entries, member)
      else
        redis.pcall('ZADD', later, 'XX', at_ms(), member)
      end
      redis.pcall('HSET', lock, 'id', string.sub(member, 1, 32), 'since', at_ms())
      redis.pcall('HDEL', lock, 'by')
      redis.pcall('PEXPIRE', lock, MOMENT)
      return nil
    end
  end
end
local sent_to_wait = 0
-- A job that was put off waits in `later` for the lock, in the order of enqueueing; if the lock is
-- free by now, it is due. Should no end ever call it, the first one tries again after a minute, the
-- second one after two: nobody polls.
local function await(lock, id, waiting, later, member)
  local held = redis.pcall('HMGET', lock, 'id', 'by')
  if held.err then return held, 'HMGET', lock end
  local now, rank = at_ms(), nil
  if held[1] and (held[1] ~= id or held[2]) then
    local made = string.match(member, '^(%x%x%x%x%x%x%x%x%x%x%x%x)7')
    sent_to_wait = sent_to_wait + 1
    local place = (tonumber(made or '', 16) or now) * 1000 + sent_to_wait % 1000
    local done = redis.pcall('ZADD', waiting, 'NX', place, member)
    if type(done) == 'table' then return done, 'ZADD', waiting end
    rank = redis.pcall('ZRANK', waiting, member)
    rank = type(rank) == 'number' and rank or 0
    redis.pcall('PEXPIRE', waiting, DAY + MOMENT * (rank + 1))
  end
  local due = rank and now + MOMENT * (rank + 1) or now
  local done = redis.pcall('ZADD', later, 'XX', due, member)
  if type(done) == 'table' then return done, 'ZADD', later end
  return nil
end
