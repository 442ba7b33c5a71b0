-- Push a job that is tried again by hand, and make its queue known. Returns a number when that is
-- done. An error, say a key that is no list, must not end the script half way.
local known = {}
local function push(queue, name, job)
  local pushed = redis.pcall('RPUSH', queue, job)
  if type(pushed) == 'number' and not known[name] then
    known[name] = type(redis.pcall('SADD', queues, name)) == 'number'
    if not known[name] then
      call('LTRIM', queue, 0, -2)
      return nil
    end
  end
  return pushed
end
