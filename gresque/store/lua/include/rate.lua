-- GCRA. `rates` has for each queue the time at which its next job would be due if jobs came evenly.
local interval, due, most, slack, several, now
local function allowed(jobs, ms, burst)
  if not now then
    local time = call('TIME')
    now = time[1] * 1000000 + time[2]
  end
  interval = ms * 1000 / jobs
  local stands = pcall('HINCRBY', rates, name, 0)
  if note('look', stands, 'HINCRBY', rates) then
    interval = nil
    return 0
  end
  due = math.max(stands, now)
  if due - now > (burst + 1) * interval then -- it is from a slower rate, or the clock was set back
    due = now + math.ceil(burst * interval)
    pcall('HSET', rates, name, string.format('%.0f', due))
  end
  -- A job that is looked for a little late does not delay those after it. By less than an interval:
  -- in each time of whole intervals no more start than these, and the burst.
  most, slack = burst, math.min(0.9 * interval, 50000)
  several = math.max(1, math.min(math.floor(most / 2), math.floor(20000 / interval)))
  local room = burst + math.floor((slack - (due - now)) / interval)
  return (is_idle and room < several) and 0 or room
end
local function note_wait() -- until several may start, as a turn for each single job costs too much
  local left = math.ceil((due - now - (most - several) * interval - slack) / 1000)
  wait = math.max(wait > 0 and math.min(wait, left) or left, 1)
end
local function charge(jobs)
  if jobs > 0 then
    due = due + math.ceil(jobs * interval)
    pcall('HSET', rates, name, string.format('%.0f', due))
  elseif due == now then -- the full burst is free, which is the same as no field
    pcall('HDEL', rates, name)
  end
end
