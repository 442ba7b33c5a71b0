-- Write, change and remove entries of the schedule, each only where it stands as the caller read it.
--
-- Of the masters that run one app the one that booted last declares its entries: a process of an
-- older one changes nothing any more.
--
-- KEYS  1 cron (HASH)   2 cron:next (ZSET)   3 cron:paused (SET)   4 cron:last (HASH)
--       5 cron:apps (HASH)   6 delayed:last_enqueued_at (HASH)
-- ARGV  1 app, empty for none   2 when its master registered first, in ms; 0: now
--       3.. five for each entry: name, its JSON as it was read (empty: there was none), its new JSON
--       (empty: remove it), its next tick in ms (empty: it has none), 1 to keep the tick it has
-- Returns  {when the master registered; 0 when a newer one has, names of entries that had changed}
local cron, next, paused, last, apps, shown = unpack(KEYS)
local A, call = ARGV, redis.call
local guarded = next -- not cron: an entry may have any name
-- include guard

local app, boot = A[1], tonumber(A[2])
if boot == 0 then
  local time = call('TIME')
  boot = time[1] * 1000 + math.floor(time[2] / 1000)
end
if app ~= '' then
  local known = tonumber(call('HGET', apps, app) or 0)
  if A[2] == '0' then
    boot = math.max(boot, known + 1) -- the server's clock may have been set back
  elseif known > boot then
    return {0}
  end
  if #A > 2 or known > 0 then call('HSET', apps, app, boot) end
end

local changed = {boot}
for i = 3, #A, 5 do
  local name, old, new, tick, keep = unpack(A, i, i + 4)
  if (call('HGET', cron, name) or '') ~= old then
    changed[#changed + 1] = name
  elseif new == '' then
    call('HDEL', cron, name)
    call('ZREM', next, name)
    call('SREM', paused, name)
    call('HDEL', last, name)
    call('HDEL', shown, name)
  else
    call('HSET', cron, name, new)
    if tick == '' or call('SISMEMBER', paused, name) == 1 then
      call('ZREM', next, name)
    elseif keep == '1' then
      call('ZADD', next, 'NX', tick, name)
    else
      call('ZADD', next, tick, name)
    end
  end
end
return changed
