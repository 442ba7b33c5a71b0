-- Apply the effect of an end by hand on the lock of the job. It is of the kind `unlock` or
-- `pass_on` (effects.lua), and its keys begin at this one. Returns an error and its key.
local function end_by_hand(kind, at, name, id, queues)
  local done, key, _
  if kind == 'unlock' then
    done, _, key = unlock(KEYS[at], id, KEYS[at + 1], name, queues)
  elseif kind == 'pass_on' then
    redis.pcall('ZREM', KEYS[at + 2], id)
    done, _, key = pass_on(KEYS[at], id, KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4],
      name, queues)
  end
  return done, key
end
