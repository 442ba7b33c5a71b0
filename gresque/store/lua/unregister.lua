-- A worker process leaves: its ledger goes, if nothing is left in it.
--
-- KEYS  1 ledgers (ZSET)   2 ledger (HASH)   3 running (STRING)   4 commands (LIST)
--       5 processes (HASH)   6 vitals (HASH)
-- ARGV  1 process id   2 number of its last turn
-- Returns  how many jobs stand in the ledger, one more when the server has forgotten the last turn;
--          above 0 nothing was removed
local ledgers, ledger, running, commands = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local processes, vitals = KEYS[5], KEYS[6]
local guarded = ledger
-- include guard
local held = redis.pcall('HLEN', ledger)
if type(held) == 'table' and not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
local left = type(held) == 'number' and held - 1 or 0
if type(held) == 'number' then
  local state = redis.call('HGET', ledger, 'state')
  if state and string.match(state, '^(%d+)[! ]') ~= ARGV[2] then left = left + 1 end
end
if left <= 0 then
  redis.call('DEL', ledger, running, commands)
  redis.pcall('ZREM', ledgers, ARGV[1]) -- of another type: named when the process registered
  redis.pcall('HDEL', processes, ARGV[1])
  redis.pcall('HDEL', vitals, ARGV[1])
end
return math.max(left, 0)
