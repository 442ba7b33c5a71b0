-- The jobs in `later` that are due, the earliest first: their names and queues, not the payloads.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)
-- ARGV  1 how many of them to pass over   2 how many to return at most   3 bytes of payloads at most
-- Returns  {name, queue key, name, …}; '' for a queue key that cannot be read
local later, jobs = KEYS[1], KEYS[2]
-- include now_ms
local found, bytes, most = {}, 0, tonumber(ARGV[3])
local names = redis.call(
  'ZRANGE', later, '-inf', now_ms(math.floor), 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2]
)
local first = 1
while first <= #names do
  -- As many as may be read together: payloads have 8 MB at most, and mostly far less.
  local last = math.min(first + math.min(math.floor(most * first / (bytes + most / 4)), 200), #names)
  local entries = redis.pcall('HMGET', jobs, unpack(names, first, last))
  if entries.err then return redis.error_reply(entries.err .. ': ' .. jobs) end
  for i, entry in ipairs(entries) do
    entry = entry or ''
    bytes = bytes + #entry
    if bytes > most and #found > 0 then return found end
    local digits = string.match(entry, '^(%d+):') or ''
    local key = digits == '' and '' or string.sub(entry, #digits + 2, #digits + 1 + digits)
    found[#found + 1] = names[first + i - 1]
    found[#found + 1] = tostring(#key) == digits and key or '' -- as promote.lua compares it
  end
  first = last + 1
end
return found
