local function now_ms(round) -- round down to ask what is due, up to say when: no job is early
  local time = redis.call('TIME')
  return time[1] * 1000 + round(time[2] / 1000)
end
