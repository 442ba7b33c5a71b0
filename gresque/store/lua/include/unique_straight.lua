-- The usual case, in a third of the time that a plan takes: jobs that are due, and no arguments to
-- change. Everything else, and every job that is refused, is left to the code that follows; nothing
-- has been written then.
local words, taken, keys, raws, holders = {}, {}, {}, {}, {}
local is_straight, drops = kind == 'in', on_duplicate == 'drop' or on_duplicate == 'raise'
-- Of many locks mostly none is held, which one call says.
local are_free, at = #K > FIRST_LOCK and pcall('EXISTS', unpack(K, FIRST_LOCK)) == 0, FIRST_LOCK
for i = FIRST_JOB, #A, 4 do
  local key = K[at]
  local holder = holders[key] or not are_free and pcall('HGET', key, 'id')
  if A[i + 1] ~= '0' or holder and (type(holder) == 'table' or not drops) then is_straight = false end
  if not is_straight then break end
  words[#words + 1], at = holder or '+', at + 1
  if not holder then
    holders[key] = A[i]
    taken[#taken + 1], keys[#taken + 1], raws[#raws + 1] = i, key, A[i + 3]
  end
end
local pushed = #taken
if is_straight and pushed > 0 and (pushed == #words or on_duplicate ~= 'raise') then
  local values = {'id', '', 'key', '', 'mode', mode, 'class', A[9], 'queue', A[3],
    'since', string.format('%.0f', now)}
  if on_duplicate == 'replace' then values[13], values[14] = 'replace', '1' end
  if A[10] ~= DAY then values[#values + 1], values[#values + 2] = 'ttl', A[10] end
  local done, locked = pcall('SADD', queues, A[3]), 0
  for n = 1, pushed do
    if type(done) == 'table' then break end
    local i, key = taken[n], keys[n]
    values[2], values[4], locked = A[i], A[i + 2], n
    done = pcall('HSET', key, unpack(values))
    if type(done) ~= 'table' then done = pcall('PEXPIRE', key, A[10]) end
  end
  if type(done) ~= 'table' then done = pcall('RPUSH', queue, unpack(raws)) end
  if type(done) == 'table' then
    is_straight = false
    for n = 1, locked do
      pcall('HDEL', keys[n], 'id', 'key', 'mode', 'class', 'queue', 'since', 'ttl', 'replace')
    end
  end
end
