-- The slots as they are now, and the counters with the last of them.
local first_held, slots = first_slot + clear, {}
for i = first_slot, first_held - 1 do slots[#slots + 1] = A[i] end
for i = first_held, #A, 2 do
  slots[#slots + 1] = A[i]
  count_entry(A[i + 1], 1)
end
for _, entry in ipairs(#slots > 0 and call('HMGET', ledger, unpack(slots)) or {}) do
  if entry then count_entry(entry, -1) end
end
if clear > 0 then call('HDEL', ledger, unpack(A, first_slot, first_held - 1)) end
if first_held < #A then call('HSET', ledger, unpack(A, first_held, #A)) end
write_counts()

word = A[2]
if #refused > 0 then word = word .. '!' .. table.concat(refused, ',') end
if A[3] == '' then
  call('HSET', ledger, 'state', word .. ' ' .. totals)
  return word
end
call('HSET', ledger, 'state', word .. ' ' .. A[3])

local TOTALS = '^%d+ (%d+) (%d+) %d+ (%d+)$'
local done_before, failed_before, retried_before = string.match(totals, TOTALS)
if done_before then
  local done_now, failed_now, retried_now = string.match(A[3], TOTALS)
  local failures = failed_now - failed_before
  local processed = done_now - done_before + failures
  if processed > 0 then
    pcall('INCRBY', processed_stat, processed)
    pcall('INCRBY', own_processed, processed)
  end
  if failures > 0 then
    pcall('INCRBY', failed_stat, failures)
    pcall('INCRBY', own_failed, failures)
  end
  local retries = retried_now - retried_before
  if retries > 0 then
    pcall('INCRBY', retried_stat, retries)
    pcall('INCRBY', own_retried, retries)
  end
end
return word
