-- Take the kills that a worker process is asked for. Reading the list has the connection told of
-- the next one, by client tracking.
--
-- KEYS  1 kills (LIST)
-- Returns  {job id, …}
local asked = redis.call('LRANGE', KEYS[1], 0, -1)
if #asked > 0 then
  redis.call('DEL', KEYS[1])
  redis.call('EXISTS', KEYS[1])
end
return asked
