-- An entry that is written into the ledger, or taken out of it, counts by its flag.
-- include counts
local namespace = string.sub(inflight, 1, -#'inflight' - 1)
-- Of the last entry that counted: what it begins with, its queue, and whether each counter has it.
local origin, origin_queue, in_all, in_own = nil, nil, false, false
local function count_entry(entry, by)
  if not origin or string.sub(entry, 1, #origin) ~= origin then -- mostly it has the same
    local digits, flag = string.match(entry, '^(%d+)([+@#])')
    local list = digits and string.sub(entry, #digits + 2, #digits + 1 + digits) or ''
    if string.sub(list, 1, #namespace) ~= namespace then return end
    list = string.sub(list, #namespace + 1)
    local queue = string.match(list, '^queue:(.+)$') or string.match(list, '^suspects:%d:(.+)$')
    if not queue then return end
    origin, origin_queue = string.sub(entry, 1, #digits + 1 + digits), queue
    in_all, in_own = flag ~= '@', flag ~= '+'
  end
  if in_all then count_by(inflight, origin_queue, by) end
  if in_own then count_by(own_inflight, origin_queue, by) end
end
