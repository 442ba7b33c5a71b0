-- Write down that a tracked job waits. Where that is refused, the job is enqueued all the same.
local function track(key, state, class, name, expiry)
  if type(redis.pcall('HSET', key, 's', state, 'c', class, 'q', name)) ~= 'number' then return end
  redis.pcall('PEXPIRE', key, string.format('%.0f', expiry))
end
local DAY_MS = 86400000 -- added to how long a result is kept, while its job waits
