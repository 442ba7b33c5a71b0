-- Count off the jobs whose entries say that they were counted, whatever the policies say by now.
-- include count_entries
freed = {}
for _, entry in ipairs(ended > 0 and call('HMGET', ledger, unpack(S, base + 1, base + ended)) or {}) do
  if entry then count_entry(entry, -1) end
end
for _, jobs_of in pairs(changes) do
  for queue, by in pairs(jobs_of) do freed[queue] = math.max(freed[queue] or 0, -by) end
end
write_counts()
