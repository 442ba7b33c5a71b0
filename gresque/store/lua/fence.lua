-- Take the ledger of a dead process away from it: should it come back, it can settle nothing.
--
-- KEYS  1 ledger (HASH)   2 fenced (ZSET)   3 ledgers (ZSET)
-- ARGV  1 process id   2 seconds after the last fencing in which all of them are forgotten
--       3 the score in `ledgers` by which the process was judged dead; absent when it is known to
--       be dead
-- Returns  {every field and value of the ledger as HGETALL gives them, before its state changed,
--           {key, its error, …}}; no fields when there is no ledger or another type stands there;
--          {'alive'} when the process has beaten since: nothing was done
local ledger, fenced, ledgers = KEYS[1], KEYS[2], KEYS[3]
local guarded = ledger
-- include guard

if ARGV[3] then
  local beat = redis.pcall('ZSCORE', ledgers, ARGV[1])
  if type(beat) == 'string' and tonumber(beat) ~= tonumber(ARGV[3]) then return {'alive'} end
end

-- Lua writes longer numbers as 1e+14, and no process counts so far.
local DIGITS = 13
local function readable(state)
  local numbers = string.match(state, '^fenced%S* (.*)$') or state
  -- cycle.lua says what may follow the first number.
  if not string.find(numbers, '^%d+[!~]?[%d,!]* %d+ %d+ %d+ %d+ %d+$') then return false end
  local tally = string.match(state, '^fenced(%S*)') or ''
  if tally ~= '' and not string.find(tally, '^:%d+:%d+:%d+:%d+$') then return false end
  for number in string.gmatch(state, '%d+') do
    if #number > DIGITS then return false end
  end
  return true
end

local held = redis.pcall('HGETALL', ledger)
if held.err then
  if not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
  return {{}, {ledger, held.err}}
end
if #held == 0 then return {held, {}} end

local state = redis.call('HGET', ledger, 'state')
if not state or not readable(state) then
  redis.call('HSET', ledger, 'state', 'fenced 0 0 0 0 0 0')
elseif string.sub(state, 1, 6) ~= 'fenced' then
  redis.call('HSET', ledger, 'state', 'fenced ' .. state)
end
-- The ledger will be gone: should the process come back, this shows it that its jobs were moved.
-- How many are kept does not depend on the clock, nor does their order: scores only rise.
local KEPT = 10000
local newest = redis.pcall('ZREVRANGE', fenced, 0, 0, 'WITHSCORES')
if newest.err then return {held, {fenced, newest.err}} end
local now = math.max(tonumber(redis.call('TIME')[1]), (newest[2] or 0) + 0.001)
redis.call('ZADD', fenced, now, ARGV[1])
redis.call('ZREMRANGEBYRANK', fenced, 0, -KEPT - 1)
redis.call('EXPIRE', fenced, ARGV[2])
return {held, {}}
