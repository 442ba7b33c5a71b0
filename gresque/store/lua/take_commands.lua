-- Take what a worker process is asked to do. Reading the list has the connection told of the next
-- order, by client tracking.
--
-- KEYS  1 commands (LIST)
-- Returns  {order, …}; an error's text when the key is of another type
local first = redis.pcall('LTRIM', KEYS[1], 0, -1) -- it changes nothing: a replica refuses here
if first.err and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
local asked = redis.pcall('LRANGE', KEYS[1], 0, -1)
if asked.err then
  if not string.find(asked.err, 'WRONGTYPE', 1, true) then return asked end
  redis.call('EXISTS', KEYS[1])
  return asked.err
end
if #asked > 0 then
  redis.call('DEL', KEYS[1])
  redis.call('EXISTS', KEYS[1])
end
return asked
