-- A process has found its queues empty: does it wait to be told of the next push, or as a spare?
--
-- Up to `limit` processes of one queue list are armed: the server tells them of every push. The
-- others are spare, and wait for a ring of their own (hand_over.lua). Entries that were not renewed
-- in time are of processes that have died; those that count for longer than any process asks for
-- were made before the server's clock was set back.
--
-- To read a key is to be told of its next change. So nothing is read here but what is to ring: the
-- entries are popped and put back.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)   4.. its queues
-- ARGV  1 limit; 0: no limit, and no entries   2 seconds for which the entry of this process counts
-- Returns  -1: spare; else armed, and how many of the queues exist: above 0, look once more
local listening, waiting, wake, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local FIRST_LIST = 4
local LONGEST = 30 -- the longest stay that a process asks for is 21 s
local limit = tonumber(ARGV[1])

local entries = limit > 0 and redis.pcall('ZPOPMAX', listening, limit)
local refused = entries and entries.err
if refused and not string.find(refused, 'WRONGTYPE', 1, true) then return entries end
if entries and not refused then -- with a key of another type every process is armed
  local now = tonumber(call('TIME')[1])
  local kept = {}
  for i = 1, #entries, 2 do
    local left = tonumber(entries[i + 1]) - now
    if entries[i] ~= wake and left > 0 and left < LONGEST then
      kept[#kept + 1], kept[#kept + 2] = entries[i + 1], entries[i]
    end
  end
  local armed = #kept < 2 * limit
  if not armed then
    local stands = redis.pcall('ZADD', waiting, now + ARGV[2], wake)
    armed = type(stands) == 'table'
    if not armed then call('EXPIRE', waiting, ARGV[2]) end
  end
  if armed then
    kept[#kept + 1], kept[#kept + 2] = now + ARGV[2], wake
    redis.pcall('ZREM', waiting, wake)
  end
  call('ZADD', listening, unpack(kept))
  call('EXPIRE', listening, ARGV[2])
  call('DEL', wake)
  if not armed then
    call('EXISTS', wake)
    return -1
  end
end
return #KEYS >= FIRST_LIST and call('EXISTS', unpack(KEYS, FIRST_LIST)) or 0
