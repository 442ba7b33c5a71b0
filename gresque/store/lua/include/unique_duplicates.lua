-- Decide about one job; returns its word in the reply. A lock with a payload must not expire, as a job
-- would be lost with it: the end of the job that holds the lock, or the sweep, takes that out.
local KEPT = 316224000000 -- ms: ten years, the longest time that an option may give
local function unique(lock, id, due, key, raw)
  if kind == 'debounce' then due = now + period end
  if not lock.id then
    add(id, raw, due)
    begin(lock, id, key, A[10] + math.max(due - now, 0))
    if on_duplicate == 'replace' then put(lock, 'replace', '1') end
    if kind == 'debounce' then put(lock, 'first', now) end
    return '+'
  end
  if on_duplicate == 'drop' or on_duplicate == 'raise' then return lock.id end
  if on_duplicate == 'replace' and not lock.again_id then
    local waits_first = lock.replace -- not for another attempt, which keeps its time
    local put_off_to = kind == 'debounce' and waits_first and lock.first and math.min(due, lock.first + most)
    if rewrite(lock.id, id, raw, due, put_off_to) then
      forget(lock, 'payload')
      if not waits_first then
        put(lock, 'replace', '1')
        forget(lock, 'first')
      end
      if put_off_to then lock.expiry = A[10] + math.max(put_off_to - now, 0) end
      return lock.id
    elseif lock.replace then
      put(lock, 'payload', under(lock.id, id, raw, due, now))
      lock.expiry = KEPT
      return lock.id
    end
  end
  local is_first = not lock.again_id
  if is_first then put(lock, 'again_id', id) end
  put(lock, 'again', under(lock.again_id, id, raw, due, now))
  lock.expiry = KEPT
  return is_first and '+' or lock.again_id
end
-- The first job of a period runs at once. With `trailing` one more waits in `later` for the end of
-- the period, and begins the next one: runs are at least a period apart.
local function throttled(lock, id, due, key, raw)
  local trailing = most == 1
  if trailing and lock.again_id and rewrite(lock.again_id, id, raw, due) then return lock.again_id end
  local ends = tonumber(lock['until'] or 0)
  if lock.again_id and ends <= now then
    ends = ends + period
    put(lock, 'id', lock.again_id)
    put(lock, 'until', ends)
    forget(lock, 'again_id')
  end
  if not lock.id or ends <= now then
    add(id, raw, due)
    begin(lock, id, key, period)
    put(lock, 'until', now + period)
    return '+'
  end
  if not trailing then return lock.again_id or lock.id end
  add(id, under(id, id, raw, due, ends), ends)
  put(lock, 'again_id', id)
  lock.expiry = ends + period - now
  return '+'
end
