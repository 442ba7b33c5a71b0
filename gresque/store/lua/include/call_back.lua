-- A job that waits for the lock under this name goes to the head of the queue, if it is of that
-- queue; else it is due. False where it waits no more, as it was cancelled or is due by itself.
local function call_back(member, queue, later, entries, name, known)
  local head = #queue .. ':' .. queue
  local entry, due = redis.pcall('HGET', entries, member), redis.pcall('ZSCORE', later, member)
  if type(entry) ~= 'string' or type(due) ~= 'string' then return false end
  local pushed = string.sub(entry, 1, #head) == head
    and redis.pcall('LPUSH', queue, string.sub(entry, #head + 1))
  if type(pushed) == 'number' then
    redis.pcall('SADD', known, name)
    redis.call('ZREM', later, member)
    redis.call('HDEL', entries, member)
  else
    redis.pcall('ZADD', later, 'XX', at_ms(), member)
  end
  return true
end
