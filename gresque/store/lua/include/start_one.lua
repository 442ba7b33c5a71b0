-- The parts of the start of one job.
local function refused(done, _, key)
  if done and not named[key] then
    refusals[#refusals + 1], refusals[#refusals + 2], named[key] = key, done.err, true
  end
  return done
end
-- The payload stands in the slot before it leaves the lock: a recovery goes by that.
local function take_payload(lock, id, slot)
  local held = redis.pcall('HMGET', lock, 'id', 'payload', 'ttl')
  if refused(held.err and held, 'HMGET', lock) then return end
  local entry = redis.call('HGET', ledger, slot)
  local head, digits = string.match(entry or '', '^((%d+)%D)')
  if not head then return end
  local from = #head + digits
  if held[1] == id and held[2] then
    entry = string.sub(entry, 1, from) .. held[2]
    redis.call('HSET', ledger, slot, entry)
  end
  if held[1] == id then redis.pcall('HDEL', lock, 'payload', 'replace') end
  if held[1] == id and held[2] then redis.pcall('PEXPIRE', lock, held[3] or DAY) end
  return string.sub(entry, from + 1)
end
local function take_lock(lock, waiting, id, slot, class, name)
  local held, by = redis.pcall('HMGET', lock, 'id', 'by'), A[2] .. ' ' .. slot
  if refused(held.err and held, 'HMGET', lock) then return -1 end
  if held[1] and (held[1] ~= id or held[2] and held[2] ~= by) then return 0 end
  if held[2] == by then return 1 end
  local done = redis.pcall('HSET', lock, 'id', id, 'mode', 'running', 'class', class, 'queue', name,
    'since', at_ms(), 'by', by)
  if refused(type(done) == 'table' and done, 'HSET', lock) then return -1 end
  redis.pcall('PEXPIRE', lock, DAY)
  redis.pcall('ZREM', waiting, id)
  return 1
end
