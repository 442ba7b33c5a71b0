for q = FIRST_LIST, last_list do
  local room, flag, queue, is_full = want - reserved, ':', nil, nil
-- include limit_of
  if queue then room = math.min(room, want - reserved) end
  local jobs = room > 0 and pcall('LPOP', K[q], room)
  if note('look', jobs, 'LPOP', K[q]) then jobs = false end -- the key is no list, say: go on
  if jobs then
    local origin, fields, f, kept = #K[q] .. flag .. K[q], {}, 0, nil
    for j = 1, #jobs do
      reserved = reserved + 1
      fields[f + 1] = S[base + reserved]
      fields[f + 2] = origin .. jobs[j]
      f = f + 2
      if f >= CHUNK or j == #jobs then
        kept = pcall('HSET', ledger, unpack(fields, 1, f))
        if type(kept) == 'table' then break end
        f = 0
      end
    end
    if type(kept) == 'table' then -- this user may not write to the ledger any more
      for j = #jobs, 1, -1 do call('LPUSH', K[q], jobs[j]) end
      return kept
    end
    out[o + 1], out[o + 2] = q - FIRST_LIST + (marks and marks[flag] or 0), jobs
    o = o + 2
  end
  if queue then took(jobs and #jobs or 0) end
  if reserved >= want then break end
end
