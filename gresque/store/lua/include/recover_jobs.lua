-- Each job that is in its slot still goes where it is to go.
local requeued, failed, poison, failed_slots = 0, 0, 0, {}
for i = 5, #ARGV, 5 do
  local slot, kind, list, item, name = ARGV[i], ARGV[i + 1], KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3],
    ARGV[i + 4]
  if redis.call('HEXISTS', ledger, slot) == 1 then
    if kind == 'requeue' or kind == 'suspect' then
      if not (test[kind](list, name) or apply[kind](list, item, name)) then
        redis.call('HDEL', ledger, slot)
        requeued = requeued + 1
      end
    elseif not list or not apply.fail(list, nil, item) then
      redis.call('HDEL', ledger, slot)
      if name ~= '' then try('SADD', failed_queues, name) end
      failed = failed + 1
      failed_slots[failed] = slot
      if kind == 'poison' then poison = poison + 1 end
    end
  end
end
if failed > 0 then
  try('INCRBY', processed_stat, failed)
  try('INCRBY', failed_stat, failed)
end
