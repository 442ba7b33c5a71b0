-- Whether this process is one of those that listen. Entries are popped and put back: a read would be
-- announced at each of their changes. `place` is what it needs to know in its place: 1 when, of those
-- that wait, as many as may listen have looked since an interval ago, so that this one may look
-- rarely, else 0; and for one that listens the wake keys of some that wait.
local LONGEST = 30 -- the longest stay that a process asks for is 21 s
local WAITING_STAY = 61 -- a little over twice the time after which one that looks rarely does
local NAMED = 3
local most, stay, interval_ms = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local listens, place = true, {0}
local entries = most > 0 and redis.pcall('ZPOPMAX', listening, most)
local refused = entries and entries.err
if refused and not string.find(refused, 'WRONGTYPE', 1, true) then return entries end
if entries and not refused then -- with a key of another type every process listens
  local now = tonumber(call('TIME')[1])
  local kept = {}
  for i = 1, #entries, 2 do
    local left = tonumber(entries[i + 1]) - now
    if entries[i] ~= wake and left > 0 and left < LONGEST then
      kept[#kept + 1], kept[#kept + 2] = entries[i + 1], entries[i]
    end
  end
  listens = #kept < 2 * most
  if not listens then
    local stands = redis.pcall('ZADD', waiting, now, wake)
    listens = type(stands) == 'table'
    if not listens then call('EXPIRE', waiting, WAITING_STAY) end
  end
  if listens then
    kept[#kept + 1], kept[#kept + 2] = now + stay, wake
    redis.pcall('ZREM', waiting, wake)
  end
  call('ZADD', listening, unpack(kept))
  call('EXPIRE', listening, stay)
  call('DEL', wake)
  if listens then
    local others, back = redis.pcall('ZPOPMAX', waiting, NAMED), {}
    for i = 1, others.err and 0 or #others, 2 do
      place[#place + 1] = others[i]
      back[#back + 1], back[#back + 2] = others[i + 1], others[i]
    end
    if #back > 0 then call('ZADD', waiting, unpack(back)) end
  else
    call('EXISTS', wake)
    local looks = redis.pcall('INCR', polls)
    if looks == 1 then call('PEXPIRE', polls, interval_ms) end
    if type(looks) == 'number' and looks > most then place[1] = 1 end
  end
end
