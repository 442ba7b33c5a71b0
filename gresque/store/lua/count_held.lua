-- Count the jobs of ledgers by the list that they came from, without sending their payloads.
--
-- KEYS  1 ledger (HASH) and further ones
-- Returns  {{list, count, …}, …}, one for each ledger; entries that cannot be read are left out
local ledgers = KEYS
local counted = {}
for index, ledger in ipairs(ledgers) do
  local counts, each = {}, {}
  local values = redis.pcall('HVALS', ledger) -- that of `state` has no list
  for i = 1, #values do
    local length = string.match(values[i], '^(%d+)[:+@#]')
    if length and #length < 10 then
      local list = string.sub(values[i], #length + 2, #length + 1 + tonumber(length))
      counts[list] = (counts[list] or 0) + 1
    end
  end
  for list, count in pairs(counts) do
    each[#each + 1] = list
    each[#each + 1] = count
  end
  counted[index] = each
end
return counted
