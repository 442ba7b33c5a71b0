-- How much waits in each of these lists, and what says since when the next job waits.
--
-- KEYS  1 .. the lists
-- ARGV  1 items up to this length are answered whole; of a longer one its id
-- Returns  for each list: its length (0 for what is no list), the item or '', 8 hex digits of it.
local found = {}
for i, list in ipairs(KEYS) do
  local length, item = redis.pcall('LLEN', list), false
  if type(length) == 'table' then length = 0 end
  if length > 0 then item = redis.call('LINDEX', list, 0) end
  local digits = ''
  if item then
    local last = string.sub(item, -tonumber(ARGV[1]))
    digits = string.sub(redis.sha1hex(last), 1, 8)
    if #item > #last then
      item = '{"id":"' .. (string.match(last, '"id":"(%x+)","generation":') or '') .. '"}'
    end
  end
  found[3 * i - 2], found[3 * i - 1], found[3 * i] = length, item or '', digits
end
return found
