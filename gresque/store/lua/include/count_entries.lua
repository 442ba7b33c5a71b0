-- An entry that is written into the ledger, or taken out of it, counts by its flag.
-- include counts
local namespace = string.sub(inflight, 1, -#'inflight' - 1)
local function count_entry(entry, by)
  local digits, flag = string.match(entry, '^(%d+)([+@#])')
  local list = digits and string.sub(entry, #digits + 2, #digits + 1 + digits) or ''
  if string.sub(list, 1, #namespace) ~= namespace then return end
  list = string.sub(list, #namespace + 1)
  local queue = string.match(list, '^queue:(.+)$') or string.match(list, '^suspects:%d:(.+)$')
  if not queue then return end
  if flag ~= '@' then count_by(inflight, queue, by) end
  if flag ~= '+' then count_by(own_inflight, queue, by) end
end
