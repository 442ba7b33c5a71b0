-- A process that was idle has found work, or leaves: one that waits takes its place. And when it
-- found as much as it could take, there is more: two come, and so on from each of them.
--
-- The waiting ones are named by the caller, so that every key is declared. Each call returns those
-- to name in the next one: as few come and go, the names of an earlier hand-over mostly do, and one
-- call is enough.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)
--       4.. wake keys of waiting processes (STRING)
-- ARGV  1 how many to wake
-- Returns  {how many are still to be woken, wake key, …}: the keys to name in the next call
local listening, waiting, wake, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local FIRST_WAITING = 4
local MORE = 2 -- another process may wake some of them before the next call
local count = tonumber(ARGV[1])
call('DEL', wake)
redis.pcall('ZREM', listening, wake) -- of another type: no process stands there
-- A process that still waited was not woken, and so leaves no place empty.
local waited = redis.pcall('ZREM', waiting, wake)
if type(waited) == 'table' then return {0} end
if count == 1 then count = count - waited end

for i = FIRST_WAITING, #KEYS do
  if count > 0 and call('ZREM', waiting, KEYS[i]) == 1 then
    call('SET', KEYS[i], '', 'EX', 10)
    count = count - 1
  end
end
-- The entries that were renewed last: their processes are the likeliest to live. They are popped
-- and put back, as a read would be announced at the next change.
local reply, back = {count}, {}
local entries = call('ZPOPMAX', waiting, count + MORE)
for i = 1, #entries, 2 do
  reply[#reply + 1] = entries[i]
  back[#back + 1], back[#back + 2] = entries[i + 1], entries[i]
end
if #back > 0 then call('ZADD', waiting, unpack(back)) end
return reply
