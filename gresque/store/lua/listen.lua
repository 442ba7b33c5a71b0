-- A process has found its queues empty: it listens for the next push, or waits to be woken.
--
-- Up to `limit` processes of one queue list listen: the server announces every push to them. The
-- others wait, and are woken by a key of their own (hand_over.lua). Entries that were not renewed
-- in time are of processes that have died; those that count for longer than any process asks for
-- were made before the server's clock was set back.
--
-- Reading a key has the server announce its next change. So only keys that are to wake the process
-- are read here: the entries are popped and put back.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)   4.. its queues
-- ARGV  1 limit; 0: no limit, and no entries   2 seconds for which the entry of this process counts
-- Returns  -1: it waits; else it listens, and how many queues exist: above 0, look once more
local listening, waiting, wake, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local FIRST_LIST = 4
local LONGEST = 30 -- the longest stay that a process asks for is 21 s
local limit = tonumber(ARGV[1])

local entries = limit > 0 and redis.pcall('ZPOPMAX', listening, limit)
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
  local listens = #kept < 2 * limit
  if not listens then
    local stands = redis.pcall('ZADD', waiting, now + ARGV[2], wake)
    listens = type(stands) == 'table'
    if not listens then call('EXPIRE', waiting, ARGV[2]) end
  end
  if listens then
    kept[#kept + 1], kept[#kept + 2] = now + ARGV[2], wake
    redis.pcall('ZREM', waiting, wake)
  end
  call('ZADD', listening, unpack(kept))
  call('EXPIRE', listening, ARGV[2])
  call('DEL', wake)
  if not listens then
    call('EXISTS', wake)
    return -1
  end
end
return #KEYS >= FIRST_LIST and call('EXISTS', unpack(KEYS, FIRST_LIST)) or 0
