-- What the server holds in excess goes back to the lists that the entries name.
local undeclared, known, moves = {}, {}, {}
for i = 1, lists do known[K[FIRST_LIST + i - 1]] = first_list + 2 * (i - 1) end
local function look(slot, held)
  local entry = call('HGET', ledger, slot)
  local job = entry and job_in(entry)
  if not entry or held and job == job_in(held) then return end
  local digits = job and string.match(entry, '^%d+')
  local list = job and string.sub(entry, #digits + 2, #digits + 1 + digits)
  if list and not known[list] then
    undeclared[#undeclared + 1], known[list] = list, 0
  end
  moves[#moves + 1] = {slot, list, job, entry}
end
for i = first_slot, first_slot + clear - 1 do look(A[i]) end
for i = first_slot + clear, #A, 2 do look(A[i], A[i + 1]) end
if #undeclared > 0 then return undeclared end
for _, move in ipairs(moves) do
  local at, list, job = move[1], move[2], move[3]
  if list then
    local kind, name = A[known[list]], A[known[list] + 1]
    local refusal = test[kind](list, name) or apply[kind](list, job, name)
    if refusal then -- the call is sent again, and begins with this slot
      write_counts()
      return refusal
    end
  end
  call('HDEL', ledger, at)
  count_entry(move[4], -1)
end
