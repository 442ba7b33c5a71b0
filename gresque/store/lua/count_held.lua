-- Count the jobs of ledgers by the list that they came from, without sending their payloads.
--
-- KEYS  1 ledger (HASH) and further ones
-- Returns  {{list, count, …}, …}, one for each ledger; entries that cannot be read are left out
local ledgers = KEYS
local counted = {}
for index, ledger in ipairs(ledgers) do
  local counts, names = {}, {}
  local fields = redis.pcall('HGETALL', ledger)
  for i = 1, #fields, 2 do
    local head, length = string.match(fields[i + 1], '^((%d+):)')
    if head and fields[i] ~= 'state' and #length < 10 then
      local list = string.sub(fields[i + 1], #head + 1, #head + tonumber(length))
      if not counts[list] then
        counts[list] = 0
        names[#names + 1] = list
      end
      counts[list] = counts[list] + 1
    end
  end
  local each = {}
  for _, list in ipairs(names) do
    each[#each + 1] = list
    each[#each + 1] = counts[list]
  end
  counted[index] = each
end
return counted
