-- The usual case, in a third of the time that a plan takes: jobs that are due, and no arguments to
-- change. Everything else, and every job that is refused, is left to the code that follows; nothing
-- has been written then.
local words, taken, raws, holders = {}, {}, {}, {}
local is_straight, drops = kind == 'in', on_duplicate == 'drop' or on_duplicate == 'raise'
for i = FIRST_JOB, #A, 4 do
  local key = K[FIRST_LOCK + (i - FIRST_JOB) / 4]
  local holder = holders[key] or pcall('HGET', key, 'id')
  if A[i + 1] ~= '0' or holder and (type(holder) == 'table' or not drops) then is_straight = false end
  if not is_straight then break end
  words[#words + 1] = holder or '+'
  if not holder then
    holders[key], taken[#taken + 1], raws[#raws + 1] = A[i], i, A[i + 3]
  end
end
local pushed = #taken
if is_straight and pushed > 0 and (pushed == #words or on_duplicate ~= 'raise') then
  local values = {'id', '', 'key', '', 'mode', mode, 'class', A[9], 'queue', A[3], 'since', now}
  if on_duplicate == 'replace' then values[13], values[14] = 'replace', '1' end
  if A[10] ~= DAY then values[#values + 1], values[#values + 2] = 'ttl', A[10] end
  local done, locked = pcall('SADD', queues, A[3]), 0
  for n = 1, pushed do
    if type(done) == 'table' then break end
    local i = taken[n]
    local key = K[FIRST_LOCK + (i - FIRST_JOB) / 4]
    values[2], values[4], locked = A[i], A[i + 2], n
    done = pcall('HSET', key, unpack(values))
    if type(done) ~= 'table' then done = pcall('PEXPIRE', key, A[10]) end
  end
  if type(done) ~= 'table' then done = pcall('RPUSH', queue, unpack(raws)) end
  if type(done) == 'table' then
    is_straight = false
    for n = 1, locked do
      pcall('HDEL', K[FIRST_LOCK + (taken[n] - FIRST_JOB) / 4], 'id', 'key', 'mode', 'class', 'queue',
        'since', 'ttl', 'replace')
    end
  end
end
