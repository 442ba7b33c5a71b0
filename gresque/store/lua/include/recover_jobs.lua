-- Each job that is in its slot still goes where it is to go.
local requeued, failed, poison, retried, failed_slots = 0, 0, 0, 0, {}
for i = 5, #ARGV, 7 do
  local slot, action, index = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local list, a, b, c = KEYS[index], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  if redis.call('HEXISTS', ledger, slot) == 1 then
    local kind = action == 'poison' and 'fail' or action
    if kind == 'fail' then
      if not list or not apply.fail(list, nil, a) then
        redis.call('HDEL', ledger, slot)
        if b ~= '' then try('SADD', failed_queues, b) end
        failed = failed + 1
        failed_slots[failed] = slot
        if action == 'poison' then poison = poison + 1 end
      end
    elseif not (test[kind](list, a, b, KEYS[index + 1])
        or apply[kind](list, ARGV[i + 3], a, b, c, KEYS[index + 1])) then
      redis.call('HDEL', ledger, slot)
      if counts[kind] == 'retried' then retried = retried + 1 else requeued = requeued + 1 end
    end
  end
end
if failed > 0 then
  try('INCRBY', processed_stat, failed)
  try('INCRBY', failed_stat, failed)
end
if retried > 0 then try('INCRBY', retried_stat, retried) end
