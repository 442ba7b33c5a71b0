-- A process that was idle has found work, or goes: a spare takes its place. And when it found as
-- much as it could take, there is more: two spares come, and so on from each of them.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)
-- ARGV  1 1 when there is more work than this process could take
-- Returns  how many spares were rung
local K, call = KEYS, redis.call
call('DEL', K[3])
redis.pcall('ZREM', K[1], K[3]) -- of another type: nobody stands there
-- Who still stands among the spares was not rung, and so leaves no place empty.
local unrung = redis.pcall('ZREM', K[2], K[3])
if type(unrung) == 'table' then return 0 end
local count = ARGV[1] == '1' and 2 or 1 - unrung
if count == 0 then return 0 end
-- The entries that were renewed last: their processes are the likeliest to live.
local spares = call('ZPOPMAX', K[2], count)
for i = 1, #spares, 2 do call('SET', spares[i], '', 'EX', 10) end
return #spares / 2
