-- Take the ledger of a dead process away from it: should it come back, it can settle nothing.
--
-- KEYS  1 ledger (HASH)   2 fenced (ZSET)   3 ledgers (ZSET)
-- ARGV  1 process id   2 seconds without a burial after which all of them are forgotten
--       3 the score in `ledgers` by which the process was judged dead; absent when it is known to
--       be dead
-- Returns  {every field and value of the ledger as HGETALL gives them, before its state changed,
--           {key, its error, …}}; no fields when there is no ledger or another type stands there;
--          {'alive'} when the process has beaten since: nothing was done
-- A write that changes nothing, whatever the key holds: a read-only server refuses here.
local first = redis.pcall('HDEL', KEYS[1], 'none')
if type(first) == 'table' and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end

if ARGV[3] then
  local beat = redis.pcall('ZSCORE', KEYS[3], ARGV[1])
  if type(beat) == 'string' and tonumber(beat) ~= tonumber(ARGV[3]) then return {'alive'} end
end

-- Lua writes longer numbers as 1e+14, and no process counts so far.
local DIGITS = 13
local function readable(state)
  local numbers = string.match(state, '^fenced%S* (.*)$') or state
  -- What may follow the first number, cycle.lua tells.
  if not string.find(numbers, '^%d+[!~]?[%d,!]* %d+ %d+ %d+ %d+$') then return false end
  local tally = string.match(state, '^fenced(%S*)') or ''
  if tally ~= '' and not string.find(tally, '^:%d+:%d+:%d+$') then return false end
  for number in string.gmatch(state, '%d+') do
    if #number > DIGITS then return false end
  end
  return true
end

local held = redis.pcall('HGETALL', KEYS[1])
if held.err then
  if not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
  return {{}, {KEYS[1], held.err}}
end
if #held == 0 then return {held, {}} end

local state = redis.call('HGET', KEYS[1], 'state')
if not state or not readable(state) then
  redis.call('HSET', KEYS[1], 'state', 'fenced 0 0 0 0 0')
elseif string.sub(state, 1, 6) ~= 'fenced' then
  redis.call('HSET', KEYS[1], 'state', 'fenced ' .. state)
end
-- The ledger will be gone: this tells the process, should it come back, that its jobs were moved.
-- How many burials are kept does not depend on the clock, nor does their order: scores only rise.
local KEPT = 10000 -- burials that are remembered
local newest = redis.pcall('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if newest.err then return {held, {KEYS[2], newest.err}} end
local now = math.max(tonumber(redis.call('TIME')[1]), (newest[2] or 0) + 0.001)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -KEPT - 1)
redis.call('EXPIRE', KEYS[2], ARGV[2])
return {held, {}}
