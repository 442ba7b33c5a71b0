-- Pause an entry of the schedule, or let it run again.
--
-- KEYS  1 cron (HASH)   2 cron:next (ZSET)   3 cron:paused (SET)
-- ARGV  1 name   2 its JSON as it was read   3 'pause' or 'resume'   4 its next tick in ms; empty:
--       it has none
-- Returns  1; 0 when it was so already; -1 when the entry was changed or removed
local cron, next, paused = unpack(KEYS)
local name, json, act, tick = unpack(ARGV)
local call = redis.call
local guarded = next -- not cron: an entry may have any name
-- include guard

if call('HGET', cron, name) ~= json then return -1 end
if act == 'pause' then
  call('ZREM', next, name)
  return call('SADD', paused, name)
end
local was_paused = call('SREM', paused, name)
if was_paused == 1 and tick ~= '' then call('ZADD', next, tick, name) end
return was_paused
