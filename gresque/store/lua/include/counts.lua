-- How many jobs of which queue are in flight (store/ledger.py): what a script changes is collected,
-- and written once for each counter and queue.
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
  -- Who found a queue full has read this key: it is announced to them, and nothing is left of it.
  for bell in pairs(bells) do
    if not note('count', pcall('SET', bell, ''), 'SET', bell) then pcall('DEL', bell) end
  end
  changes, bells = {}, {}
end
