-- The jobs in `later` that are due, the earliest first: their names and queues, not the payloads.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)
-- ARGV  1 how many of them to pass over   2 how many to return at most   3 bytes of payloads at most
-- Returns  {name, queue key, name, …}; '' for a queue key that cannot be read
local later, jobs = KEYS[1], KEYS[2]
-- include now_ms
local found, bytes = {}, 0
local names = redis.call(
  'ZRANGE', later, '-inf', now_ms(), 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2]
)
for _, name in ipairs(names) do
  local entry = redis.call('HGET', jobs, name) or ''
  bytes = bytes + #entry
  if bytes > tonumber(ARGV[3]) and #found > 0 then break end
  local digits = string.match(entry, '^(%d+):') or ''
  local from = #digits + 2
  found[#found + 1] = name
  found[#found + 1] = digits == '' and '' or string.sub(entry, from, from + digits - 1)
end
return found
