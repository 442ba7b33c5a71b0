-- Jobs in flight of each queue (store/ledger.py). The changes of a script are collected, and
-- written once for each counter and queue.
-- include add_to
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
      if by ~= 0 then add_to(counter, queue, by) end
    end
  end
  -- Processes that found a queue full have read this key, so the write is announced to them.
  -- Nothing is left of it.
  for bell in pairs(bells) do
    if not note('count', pcall('SET', bell, ''), 'SET', bell) then pcall('DEL', bell) end
  end
  changes, bells = {}, {}
end
