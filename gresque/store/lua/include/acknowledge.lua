if reserved < ended then call('HDEL', ledger, unpack(S, base + reserved + 1, base + ended)) end
local held_back = refused and '!' .. table.concat(refused, ',') or ''
call('HSET', ledger, 'state',
  A[1] .. held_back .. ' ' .. (tonumber(A[4]) + reserved) .. ' ' .. done .. ' ' .. failed .. ' ' ..
  requeued)

-- Nothing after this is repeated when it is refused: the turn is done.
if processed > 0 then
  note('count', pcall('INCRBY', processed_stat, processed), 'INCRBY', processed_stat)
  note('count', pcall('INCRBY', own_processed, processed), 'INCRBY', own_processed)
end
if failures > 0 then
  note('count', pcall('INCRBY', failed_stat, failures), 'INCRBY', failed_stat)
  note('count', pcall('INCRBY', own_failed, failures), 'INCRBY', own_failed)
end
if reserved == 0 and A[3] == '1' and last_list >= FIRST_LIST then
  note('look', pcall('EXISTS', unpack(K, FIRST_LIST, last_list)), 'EXISTS', K[FIRST_LIST])
end
