-- Find the jobs whose payload holds a text, such as an id, without sending the others.
--
-- KEYS  1 ledger (HASH) and further ones
-- ARGV  1 the text
-- Returns  {index of the ledger among KEYS, slot, entry, …}; a key of another type holds none
local ledgers, wanted = KEYS, ARGV[1]
local found = {}
for index, ledger in ipairs(ledgers) do
  local values, matches = redis.pcall('HVALS', ledger), {}
  for i = 1, #values do
    if string.find(values[i], wanted, 1, true) then matches[values[i]] = true end
  end
  if next(matches) then -- rarely: slots cost as much to read as entries
    local fields = redis.call('HGETALL', ledger)
    for i = 1, #fields, 2 do
      if matches[fields[i + 1]] then
        found[#found + 1] = index
        found[#found + 1] = fields[i]
        found[#found + 1] = fields[i + 1]
      end
    end
  end
end
return found
