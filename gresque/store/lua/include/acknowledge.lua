if reserved < ended then call('HDEL', ledger, unpack(S, base + reserved + 1, base + ended)) end
local held_back = refused and '!' .. table.concat(refused, ',') or ''
call('HSET', ledger, 'state',
  A[1] .. held_back .. ' ' .. (tonumber(A[4]) + reserved) .. ' ' .. done .. ' ' .. failed .. ' ' ..
  requeued .. ' ' .. retried)
-- Nothing after this is repeated when it is refused: the turn is done.
if processed > 0 then
  note('count', pcall('INCRBY', processed_stat, processed), 'INCRBY', processed_stat)
  note('count', pcall('INCRBY', own_processed, processed), 'INCRBY', own_processed)
end
if failures > 0 then
  note('count', pcall('INCRBY', failed_stat, failures), 'INCRBY', failed_stat)
  note('count', pcall('INCRBY', own_failed, failures), 'INCRBY', own_failed)
end
if retries > 0 then
  note('count', pcall('INCRBY', retried_stat, retries), 'INCRBY', retried_stat)
  note('count', pcall('INCRBY', own_retried, retries), 'INCRBY', own_retried)
end
for i = freed and first_freed or #K + 1, #K do
  -- freed:<queue> is as long as queue:<queue>.
  local left = freed[string.sub(K[i], #queues + 1)] or 0
  if left > 0 and not note('count', pcall('SET', K[i], ''), 'SET', K[i]) then
    pcall('DEL', K[i]) -- that it changed was announced: nothing is left of it
  end
end
if reserved == 0 and A[3] == '1' and not paused and last_list >= FIRST_LIST then
  note('look', pcall('EXISTS', unpack(K, FIRST_LIST, last_list)), 'EXISTS', K[FIRST_LIST])
end
