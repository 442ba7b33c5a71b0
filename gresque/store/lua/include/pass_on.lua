-- include call_back
-- A job of mode `running` has ended or goes back: its lock goes to the first one that waits for it.
-- That one has the lock for a minute, so that no later job starts before it; then its start takes it.
local function pass_on(lock, id, queue, waiting, later, entries, name, known)
  local holder = redis.pcall('HGET', lock, 'id')
  if type(holder) == 'table' then return holder, 'HGET', lock end
  if holder ~= id then return nil end
  while true do
    local first = redis.pcall('ZPOPMIN', waiting)
    local member = not first.err and first[1]
    if not member then
      local done = first.err and first or redis.pcall('DEL', lock)
      if type(done) ~= 'table' then return nil end
      redis.pcall('DEL', lock)
      return done, first.err and 'ZPOPMIN' or 'DEL', first.err and waiting or lock
    end
    if call_back(member, queue, later, entries, name, known) then
      redis.pcall('HSET', lock, 'id', string.sub(member, 1, 32), 'since', at_ms())
      redis.pcall('HDEL', lock, 'by')
      redis.pcall('PEXPIRE', lock, MOMENT)
      return nil
    end
  end
end
