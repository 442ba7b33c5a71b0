-- Take what a worker process is asked to do. Reading the list has the server announce the next
-- one, by client tracking.
--
-- KEYS  1 commands (LIST)
-- Returns  {command, …}; an error's text when the key is of another type
local commands = KEYS[1]
local first = redis.pcall('LTRIM', commands, 0, -1) -- it changes nothing: a replica refuses here
if first.err and not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
local asked = redis.pcall('LRANGE', commands, 0, -1)
if asked.err then
  if not string.find(asked.err, 'WRONGTYPE', 1, true) then return asked end
  redis.call('EXISTS', commands)
  return asked.err
end
if #asked > 0 then
  redis.call('DEL', commands)
  redis.call('EXISTS', commands)
end
return asked
