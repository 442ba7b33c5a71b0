-- Whether this process is one of those that listen. Entries are popped and put back: a read would be
-- announced at each of their changes.
local LONGEST = 30 -- the longest stay that a process asks for is 21 s
local most, stay = tonumber(ARGV[1]), ARGV[2]
local listens = true
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
    local stands = redis.pcall('ZADD', waiting, now + stay, wake)
    listens = type(stands) == 'table'
    if not listens then call('EXPIRE', waiting, stay) end
  end
  if listens then
    kept[#kept + 1], kept[#kept + 2] = now + stay, wake
    redis.pcall('ZREM', waiting, wake)
  end
  call('ZADD', listening, unpack(kept))
  call('EXPIRE', listening, stay)
  call('DEL', wake)
  if not listens then call('EXISTS', wake) end
end
