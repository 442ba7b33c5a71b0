local function names_of(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  return names
end
local function write_lock(lock)
  local key, gone, values = lock.name, names_of(lock.gone), {}
  for name, value in pairs(lock.set) do values[#values + 1], values[#values + 2] = name, value end
  return #gone > 0 and refused(pcall('HDEL', key, unpack(gone)), key)
    or #values > 0 and refused(pcall('HSET', key, unpack(values)), key)
    or lock.expiry and refused(pcall('PEXPIRE', key, lock.expiry), key) or nil
end
local function write_locks(are_new)
  for _, lock in ipairs(touched) do
    local wrong = lock.is_new == are_new and write_lock(lock)
    if wrong then return wrong end
  end
end
local function change_delayed()
  return #changed > 0 and (refused(pcall('HSET', jobs, unpack(changed)), jobs)
    or refused(pcall('ZADD', later, unpack(changed_dues)), later)) or nil
end
-- Write the whole plan; returns nil, or the error. Writes that can be undone come first. When one
-- of them fails, they are undone and nothing else is written; this does not need the right to pop
-- jobs.
local function write()
  local to_push, names, wrong = #at_once > 0, {}, nil
  if to_push then wrong = refused(pcall('LLEN', queue), queue) or refused(pcall('SADD', queues, A[3]), queues) end
  if not wrong then names, wrong = put_off_all(later, jobs, ids, entries, dues) end
  wrong = wrong or write_locks(true) or change_delayed() or write_locks(false)
    or to_push and refused(pcall('RPUSH', queue, unpack(at_once)), queue) or nil
  if not wrong then return nil end
  for _, name in ipairs(names) do
    pcall('ZREM', later, name)
    pcall('HDEL', jobs, name)
  end
  for _, lock in ipairs(touched) do
    local set = names_of(lock.set)
    if lock.is_new and #set > 0 then pcall('HDEL', lock.name, unpack(set)) end
  end
  return wrong
end
