-- Jobs in flight of each queue (store/ledger.py). The changes of a script are collected, and
-- written once for each counter and queue.
local changes, bells = {}, {}
local function count_by(counter, queue, by)
  local queues_of = changes[counter]
  if not queues_of then
    queues_of = {}
    changes[counter] = queues_of
  end
  queues_of[queue] = (queues_of[queue] or 0) + by
end
local function write_counts()
  for counter, queues_of in pairs(changes) do
    for queue, by in pairs(queues_of) do
      local left = by ~= 0 and pcall('HINCRBY', counter, queue, by)
      if left and not note('count', left, 'HINCRBY', counter) and left <= 0 then
        pcall('HDEL', counter, queue) -- no field is left where nothing is in flight
        if left < 0 then
          note('below', {err = queue .. ' fell to ' .. left}, 'HINCRBY', counter)
        end
      end
    end
  end
  -- Processes that found a queue full have read this key, so the write is announced to them.
  -- Nothing is left of it.
  for bell in pairs(bells) do
    if not note('count', pcall('SET', bell, ''), 'SET', bell) then pcall('DEL', bell) end
  end
  changes, bells = {}, {}
end
