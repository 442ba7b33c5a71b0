-- A unique job that is tried again by hand takes its lock, if that is free; it runs in any case.
local function lock_if_free(lock, id, mode, class, name, job)
  if id == '' or redis.pcall('EXISTS', lock) ~= 0 then return end
  local time = redis.call('TIME')
  local since = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.pcall('HSET', lock, 'id', id, 'mode', mode, 'class', class, 'queue', name, 'since', since)
  local mark = string.sub(lock, -32) .. '","' .. mode .. '","replace"'
  if string.find(job, mark, 1, true) then redis.pcall('HSET', lock, 'replace', 1) end
  redis.pcall('PEXPIRE', lock, 86400000)
end
