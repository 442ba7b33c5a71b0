-- Each job that is in its slot still goes where it is to go.
local is_moved
local requeued, failed, poison, retried, failed_slots = 0, 0, 0, 0, {}
local rings = tonumber(ARGV[5])
local function leave(slot)
  if rings > 0 then count_entry(redis.call('HGET', ledger, slot), -1) end
  redis.call('HDEL', ledger, slot)
  is_moved = true
end
for i = 6, #ARGV, 7 do
  local slot, action, index = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local list, a, b, c, second = KEYS[index], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], KEYS[index + 1]
  if slot == 'state' then -- no slot has this name
    if is_moved then apply[action](list, nil, a, b, c, second, index) end
  else
    is_moved = false
    local there, kind = redis.call('HEXISTS', ledger, slot) == 1, action
    if kind == 'poison' then kind = 'fail' end
    if there and kind == 'fail' then
      if not list or not apply.fail(list, nil, a) then
        leave(slot)
        if b ~= '' then try('SADD', failed_queues, b) end
        failed = failed + 1
        failed_slots[failed] = slot
        if action == 'poison' then poison = poison + 1 end
      end
    elseif there and not (test[kind](list, a, b, second)
        or apply[kind](list, ARGV[i + 3], a, b, c, second)) then
      leave(slot)
      if counts[kind] == 'retried' then retried = retried + 1 else requeued = requeued + 1 end
    end
  end
end
for i = #KEYS + 1 - rings, #KEYS do bells[KEYS[i]] = next(changes) and true or nil end
write_counts()
if failed > 0 then
  try('INCRBY', processed_stat, failed)
  try('INCRBY', failed_stat, failed)
end
if retried > 0 then try('INCRBY', retried_stat, retried) end
