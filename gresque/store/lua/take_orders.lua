-- Take what a worker process is asked to do. Reading the list has the connection told of the next
-- order, by client tracking.
--
-- KEYS  1 orders (LIST)
-- Returns  {order, …}
local asked = redis.call('LRANGE', KEYS[1], 0, -1)
if #asked > 0 then
  redis.call('DEL', KEYS[1])
  redis.call('EXISTS', KEYS[1])
end
return asked
