-- Count off the jobs that were counted, whatever the policies say by now. Their entries say where
-- they count. The process knows that as well, until a server has forgotten a turn of it; but it does
-- not know which jobs stay in their slots.
freed, first_freed = {}, #K + 1 - string.match(A[16], '^%d+')
local known = not refused and string.match(A[16], ' .+')
if known then
-- include add_to
  local i = first_freed
  for all, own in string.gmatch(known, '(%d+)/(%d+)') do
    local queue, in_all, in_own = string.sub(K[i], #queues + 1), tonumber(all), tonumber(own)
    if in_all > 0 then add_to(inflight, queue, -in_all) end
    if in_own > 0 then add_to(own_inflight, queue, -in_own) end
    freed[queue], i = math.max(in_all, in_own), i + 1
  end
else
-- include count_entries
  local left = ended > 0 and call('HMGET', ledger, unpack(S, base + 1, base + ended)) or {}
  for _, entry in ipairs(left) do
    if entry then count_entry(entry, -1) end
  end
  for _, jobs_of in pairs(changes) do
    for queue, by in pairs(jobs_of) do freed[queue] = math.max(freed[queue] or 0, -by) end
  end
  write_counts()
end
