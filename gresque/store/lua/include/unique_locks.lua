-- The locks as they are, and what changes in them: `set` by name and value, `gone` by name.
local FIELDS = {'id', 'again_id', 'first', 'until', 'replace'}
local locks, touched = {}, {}
local function lock_of(key)
  if locks[key] then return locks[key] end
  local found = refuse(pcall('HMGET', key, unpack(FIELDS)), key)
  if not found then return nil end
  local lock = {name = key, set = {}, gone = {}}
  for i, name in ipairs(FIELDS) do lock[name] = found[i] end
  lock.is_new = not lock.id
  locks[key], touched[#touched + 1] = lock, lock
  return lock
end
local function put(lock, name, value)
  lock[name], lock.set[name], lock.gone[name] = value, value, nil
end
local function forget(lock, name)
  lock[name], lock.set[name], lock.gone[name] = false, nil, true
end
local function begin(lock, id, key, ms)
  local values = {id = id, mode = mode, class = A[9], key = key, queue = A[3], since = now,
    ttl = A[10] ~= DAY and A[10] or nil}
  for name, value in pairs(values) do put(lock, name, value) end
  lock.expiry = ms
end
