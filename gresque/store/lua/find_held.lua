-- Find the jobs whose payload holds a text, such as an id, without sending the others.
--
-- KEYS  1 ledger (HASH) and further ones
-- ARGV  1 the text
-- Returns  {index of the ledger among KEYS, slot, entry, …}; a key of another type holds none
local ledgers, wanted = KEYS, ARGV[1]
local found = {}
for index, ledger in ipairs(ledgers) do
  local fields = redis.pcall('HGETALL', ledger)
  for i = 1, #fields, 2 do
    if string.find(fields[i + 1], wanted, 1, true) then
      found[#found + 1] = index
      found[#found + 1] = fields[i]
      found[#found + 1] = fields[i + 1]
    end
  end
end
return found
