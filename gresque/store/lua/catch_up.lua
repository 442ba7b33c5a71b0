-- Bring a server up to date that has forgotten turns of a worker process: a replica that lagged was
-- promoted, or the server has started again with older data.
--
-- It takes several calls: the jobs that left the ledger in the forgotten turns, oldest turn first;
-- then the slots as they are now, and the counters. The first word of `state` tells how far it is:
-- `<number>` of the last turn that the server knows, `<number>~<slot>` while it is being brought up
-- to date: the turns up to this number are done, and so are the slots below that one.
--
-- Each call names the word that it continues from, so that a call does nothing the second time, and
-- one that arrives late does nothing at all.
--
-- KEYS  1 ledger (HASH)   2-8 as in cycle.lua
-- ARGV  1 first word of `state` to continue from   2 the one to write; '!' and the positions of
--       refused jobs, among all that follow, are appended to it
--       3 totals to write ('reserved done failed requeued'): the counters get what those in `state`
--         lack; '' to leave them
--       4 1 when the server has lost all its data, the queues too; 2 when it is not known what
--         became of jobs that stand in the slots: those that are not held any more go back to their
--         queues
--       5 how many failed jobs follow, each as five arguments: slot, its ledger entry, list key,
--         failure entry, the list's name among failed_queues or ''
--       6 how many jobs given back follow, each as four arguments: slot, its ledger entry, queue key,
--         queue name. Only one that is still in its slot is pushed: else it is in its queue, as the
--         server has forgotten its reservation
--       7 how many slots to clear follow; then slot and ledger entry of each one to write
--       8.. all of these
-- Returns  the first word of `state` as it is now; 'fenced' when the ledger is no longer this
--          process's
local ledger, processed_stat, failed_stat = KEYS[1], KEYS[2], KEYS[3]
local own_processed, own_failed = KEYS[4], KEYS[5]
local queues, failed_queues, suspects = KEYS[6], KEYS[7], KEYS[8]
local A, call, pcall = ARGV, redis.call, redis.pcall
local SUSPECT = '^%s*{%s*"recoveries"%s*:%s*%d+%s*,%s*"deaths"' -- as in cycle.lua
local EXPIRY = 86400
local failed, given, clear = tonumber(A[5]), tonumber(A[6]), tonumber(A[7])

call('HDEL', ledger, 'none') -- as in cycle.lua
local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local word, totals = string.match(state, '^(%S*) ?(.*)$')
if word ~= A[1] then return word end
call('HSET', ledger, 'state', state) -- as in cycle.lua

local function refuses(done) return type(done) == 'table' and done.err end

local refused, tried, position = {}, {}, 0
for i = 8, 7 + 5 * failed, 5 do
  local slot, list, name = A[i], A[i + 2], A[i + 4]
  position = position + 1
  if tried[list] == nil then tried[list] = name ~= '' and refuses(pcall('SADD', failed_queues, name)) end
  if not tried[list] then tried[list] = refuses(pcall('RPUSH', list, A[i + 3])) or false end
  if tried[list] then
    refused[#refused + 1] = position
  elseif call('HGET', ledger, slot) == A[i + 1] then
    call('HDEL', ledger, slot)
  end
end

local first = 8 + 5 * failed
for i = first, first + 4 * given - 1, 4 do
  local slot, entry, queue = A[i], A[i + 1], A[i + 2]
  position = position + 1
  local is_there = call('HGET', ledger, slot) == entry
  if is_there or A[4] == '1' then
    local job = string.sub(entry, string.find(entry, ':', 1, true) + #queue + 1)
    if refuses(pcall('LPUSH', queue, job)) then
      refused[#refused + 1] = position
    else
      if is_there then call('HDEL', ledger, slot) end
      pcall('SADD', queues, A[i + 3])
      if string.find(job, SUSPECT) then
        pcall('HINCRBY', suspects, queue, 1)
        pcall('EXPIRE', suspects, EXPIRY)
      end
    end
  end
end

first = first + 4 * given
local function put_back(slot, held)
  local entry = call('HGET', ledger, slot)
  if not entry or entry == held then return end
  local colon = string.find(entry, ':', 1, true)
  local split = colon and tonumber(string.sub(entry, 1, colon - 1))
  if split then
    local queue = string.sub(entry, colon + 1, colon + split)
    local pushed = pcall('LPUSH', queue, string.sub(entry, colon + split + 1))
    if refuses(pushed) then return pushed end -- sent again, and begins with this slot
  end
  call('HDEL', ledger, slot)
end
if A[4] == '2' then
  for i = first, first + clear - 1 do
    local refusal = put_back(A[i])
    if refusal then return refusal end
  end
  for i = first + clear, #A, 2 do
    local refusal = put_back(A[i], A[i + 1])
    if refusal then return refusal end
  end
end
if clear > 0 then call('HDEL', ledger, unpack(A, first, first + clear - 1)) end
first = first + clear
if first < #A then call('HSET', ledger, unpack(A, first, #A)) end

word = A[2]
if #refused > 0 then word = word .. '!' .. table.concat(refused, ',') end
if A[3] == '' then
  call('HSET', ledger, 'state', word .. ' ' .. totals)
  return word
end
call('HSET', ledger, 'state', word .. ' ' .. A[3])

local TOTALS = '^%d+ (%d+) (%d+) %d+$'
local done_before, failed_before = string.match(totals, TOTALS)
if done_before then
  local done_now, failed_now = string.match(A[3], TOTALS)
  local failures = failed_now - failed_before
  local processed = done_now - done_before + failures
  if processed > 0 then
    pcall('INCRBY', processed_stat, processed)
    pcall('INCRBY', own_processed, processed)
  end
  if failures > 0 then
    pcall('INCRBY', failed_stat, failures)
    pcall('INCRBY', own_failed, failures)
  end
end
return word
