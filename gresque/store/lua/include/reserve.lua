for q = FIRST_LIST, last_list do
  local jobs = pcall('LPOP', K[q], want - reserved)
  if note('look', jobs, 'LPOP', K[q]) then jobs = false end -- the key is no list, say: go on
  if jobs then
    local origin, fields, f, kept = #K[q] .. ':' .. K[q], {}, 0, nil
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
    out[o + 1], out[o + 2] = q - FIRST_LIST, jobs
    o = o + 2
    if reserved >= want then break end
  end
end
