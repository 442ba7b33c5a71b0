local function now_ms() -- rounded up: no job is due too early
  local time = redis.call('TIME')
  return time[1] * 1000 + math.ceil(time[2] / 1000)
end
