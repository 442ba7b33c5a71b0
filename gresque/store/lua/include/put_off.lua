-- A job waits in `later` until it is due, under a name of its own: another job may have the same
-- id. Returns its name; or nil and the error, and then it does not wait.
local function put_off(later, jobs, name, due, entry)
  local done = redis.pcall('HSETNX', jobs, name, entry)
  while done == 0 do
    name = name .. '+'
    done = redis.pcall('HSETNX', jobs, name, entry)
  end
  if type(done) == 'table' then return nil, done.err .. ': ' .. jobs end
  done = redis.pcall('ZADD', later, due, name)
  if type(done) ~= 'table' then return name end
  redis.call('HDEL', jobs, name)
  return nil, done.err .. ': ' .. later
end
