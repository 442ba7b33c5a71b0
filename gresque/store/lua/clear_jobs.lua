-- Remove jobs that wait in a queue, the next ones first. A queue that has none left is forgotten; its
-- next job makes it known again.
--
-- KEYS  1 queues (SET)   2 suspects (SET)   3, 4 lists of suspects   5 the queue
-- ARGV  1 name of the queue   2 how many to remove at most
-- Returns  how many were removed; when it is less than asked for, none are left
local queues, suspects = KEYS[1], KEYS[2]
local several, one, queue = KEYS[3], KEYS[4], KEYS[5]
local guarded = suspects
-- include guard
local removed, most = 0, tonumber(ARGV[2])
for _, list in ipairs({several, one, queue}) do
  local size = redis.pcall('LLEN', list)
  if type(size) == 'table' then return size end
  local count = math.min(size, most - removed)
  if count > 0 then redis.call('LTRIM', list, count, -1) end
  removed = removed + count
end
if redis.call('EXISTS', several, one) == 0 then redis.pcall('SREM', suspects, ARGV[1]) end
if redis.call('EXISTS', several, one, queue) == 0 then redis.pcall('SREM', queues, ARGV[1]) end
return removed
