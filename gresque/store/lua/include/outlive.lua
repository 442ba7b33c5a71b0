-- The lock that a job took when it was enqueued expires as long after the job is due as it did
-- then, and an hour at least. Returns an error.
local function outlive(lock, id, delay)
  local held, left = redis.pcall('HMGET', lock, 'id', 'mode', 'ttl'), redis.pcall('PTTL', lock)
  if held[1] ~= id or held[2] == 'running' or type(left) ~= 'number' then return nil end
  local least = delay + math.max(tonumber(held[3] or 86400000), 3600000)
  return left < least and redis.pcall('PEXPIRE', lock, least) or nil
end
