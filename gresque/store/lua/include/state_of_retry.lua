-- A tracked job that is tried again by hand waits in its queue again.
local function note_retry(key, state, details, expiry)
  if state == '' then return end
  redis.pcall('HSET', key, 's', state, 'd', details)
  redis.pcall('PEXPIRE', key, expiry)
end
