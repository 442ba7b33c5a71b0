-- One turn of a worker process: settle what has ended, give back what will not run, reserve more.
--
-- A job stands in the ledger from the moment it leaves its queue until its end is settled here.
-- New jobs go into the slots of ended ones: overwriting a slot acknowledges the job that was in it.
-- A job under which a process has died is a suspect, until it has run to its end: it waits in its
-- queue as others do, and is taken only where few can die with it.
--
-- KEYS  1 ledger (HASH)   2 stat:processed   3 stat:failed
--       4 stat:processed:<worker>   5 stat:failed:<worker>   6 queues (SET)
--       7 failed_queues (SET)   8 suspects (HASH)   9.. the queues, in priority order
-- ARGV  1 sequence number of this turn; a turn whose reply was lost is sent again under the same
--       2 want: how many jobs to reserve at most
--       3 arm: 1 to have the connection told of the next push when nothing was found
--       4-7 totals of the process before this turn's reservation: reserved, done, failed, requeued
--       8 jobs that ended in this turn, failed ones included   9 those that failed
--       10 how many failure entries follow, each as three arguments: list key, entry, the list's
--          name among failed_queues, '' for a list that does not stand there
--       11 how many jobs to give back follow, each as two arguments: slot (also among the ended
--          ones), queue name; the last one comes to the head of its queue
--       12 how many ended slots follow, then free ones; want is at most their sum
--       13 suspects: 'leave' them; 'alone': take one if the process then holds nothing else; or a
--          number: take nothing but suspects, so many that saw one death, or one alone
--       14.. entries, jobs to give back, ended slots, free slots
-- Returns  {queue index from 0, {payload, …}, queue index, …}: payloads fill the slots in order;
--          at its end 'alone' when a suspect was taken that wants to be, else 'left' when suspects
--          were left behind;
--          {'replay', entry or false, …} of the first `want` slots when this turn was done before;
--          'fenced' when the ledger is no longer this process's: it was declared dead;
--          'stale' to a request that arrives after a later one was done: nobody reads that.
local K, A, call = KEYS, ARGV, redis.call
local CHUNK = 4000 -- Lua's stack takes some 8,000 values in one unpack
local SUSPECT = '^%s*{%s*"recoveries"%s*:%s*(%d+)%s*,%s*"deaths"'
local NEAR = 64 -- suspects are looked for among so many jobs at first
local DEEP = 10000 -- so far a queue is searched before it counts as free of suspects
local EXPIRY = 86400 -- of the count of suspects, should nobody work their queue any more
local ledger, want = K[1], tonumber(A[2])
local entries, gives, ended = tonumber(A[10]), tonumber(A[11]), tonumber(A[12])
local slots = 13 + 3 * entries + 2 * gives -- the first slot is A[slots + 1]

local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local last = tonumber(string.match(state, '^%d+'))
if last > tonumber(A[1]) then return 'stale' end
if last == tonumber(A[1]) then
  local out = {'replay'}
  for first = slots + 1, slots + want, CHUNK do
    local held = call('HMGET', ledger, unpack(A, first, math.min(first + CHUNK - 1, slots + want)))
    for i = 1, #held do out[#out + 1] = held[i] end
  end
  return out
end

-- A script whose first write needs no memory may finish when Redis is full: jobs can still leave.
call('HDEL', ledger, '')

-- First what could be refused, should another program keep something else under a name: a turn
-- that fails is sent again, and must not have counted anything by then.
for i = 14, 11 + 3 * entries, 3 do
  if i == 14 or A[i] ~= A[i - 3] then -- with several lists, all are tried before the first is pushed to
    call('LLEN', A[i])
    if A[i + 2] ~= '' then call('SADD', K[7], A[i + 2]) end
  end
end
for i = 14, 11 + 3 * entries, 3 do call('RPUSH', A[i], A[i + 1]) end
if A[8] ~= '0' then
  call('INCRBY', K[2], A[8])
  call('INCRBY', K[4], A[8])
end
if A[9] ~= '0' then
  call('INCRBY', K[3], A[9])
  call('INCRBY', K[5], A[9])
end

for i = slots - 2 * gives + 1, slots, 2 do
  local entry = call('HGET', ledger, A[i])
  if entry then
    local colon = string.find(entry, ':', 1, true)
    local split = colon + tonumber(string.sub(entry, 1, colon - 1))
    call('SADD', K[6], A[i + 1]) -- somebody may have removed the queue meanwhile
    local queue, job = string.sub(entry, colon + 1, split), string.sub(entry, split + 1)
    call('LPUSH', queue, job)
    if string.find(job, SUSPECT) then
      call('HINCRBY', K[8], queue, 1)
      call('EXPIRE', K[8], EXPIRY)
    end
  end
end

local out, o, reserved = {}, 0, 0
local only_suspects = A[13] ~= 'leave' and A[13] ~= 'alone'
local alone, left, pick = false, false, nil
local known = want > 0 and call('HGETALL', K[8]) or {} -- queue, suspects in it, …; rarely any
if #known > 0 then
  local among, tries = {}, tonumber(A[13]) or 0
  for i = 1, #known, 2 do among[known[i]] = tonumber(known[i + 1]) end
  local empty = call('HLEN', ledger) - 1 <= ended

  local function has_suspect(items)
    for i = 1, #items do
      if string.find(items[i], SUSPECT) then return true end
    end
    return false
  end

  -- Whether the first `count` items are suspects, for all that two probes tell, one of them at a
  -- place that changes with every turn.
  local function solid(queue, count)
    for _, place in ipairs({count - 1, tonumber(A[1]) * 7919 % count}) do
      local item = redis.pcall('LINDEX', queue, place)
      if type(item) ~= 'string' or not string.find(item, SUSPECT) then return false end
    end
    return true
  end

  -- Take items out of a queue: `places` are their indexes, counted from 0.
  local function remove(queue, places, items, first)
    if first > 0 then -- from behind many: those stay where they are
      local mark = ledger .. ' ' .. A[1] -- nobody else's
      for i = 1, #places do call('LSET', queue, places[i], mark) end
      call('LREM', queue, #places, mark)
      return
    end
    local back, p = {}, #places
    for place = places[p], 0, -1 do
      if places[p] == place then p = p - 1 else back[#back + 1] = items[place + 1] end
    end
    call('LPOP', queue, places[#places] + 1)
    for i = 1, #back, CHUNK do
      call('LPUSH', queue, unpack(back, i, math.min(i + CHUNK - 1, #back)))
    end
  end

  -- The jobs to take from queue q, false for as many as there are. Suspects lie at its head, or
  -- nearly; those that have to wait stay there, and others are taken from behind them.
  pick = function(q)
    local queue, count = K[q], among[K[q]]
    if not count then return false end
    local room = want - reserved
    local first, window = 0, count + room
    if only_suspects or (A[13] == 'alone' and empty and reserved == 0) then
      window = math.min(window, room + NEAR)
    elseif count >= NEAR and solid(queue, count) then
      first, window = count, room
    end
    local items = redis.pcall('LRANGE', queue, first, first + window - 1)
    if items.err then
      items = {}
    elseif first == 0 and window < count + room and not has_suspect(items) then
      window = count + room
      items = call('LRANGE', queue, 0, window - 1)
    end
    local taken, places, seen, suspects = {}, {}, 0, 0
    for i = 1, #items do
      local deaths = tonumber(string.match(items[i], SUSPECT))
      local take = #taken < room and not alone
      if not deaths then
        take = take and not only_suspects
      else
        seen = seen + 1
        if take and deaths < 2 and tries > 0 then
          tries = tries - 1
        elseif take and empty and A[13] ~= 'leave' and reserved + #taken == 0 then
          alone = true
        else
          take, left = false, true
          if deaths > 1 then tries = 0 end -- it is next: let the process become empty for it
        end
        if take then suspects = suspects + 1 end
      end
      if take then
        taken[#taken + 1] = items[i]
        places[#places + 1] = first + i - 1
      end
    end
    if #taken > 0 then remove(queue, places, items, first) end

    -- What others took or removed shows here; what a shutdown gave back may lie before suspects.
    if first > 0 then
      left = true
      count = count + seen
    elseif window < count + room and #items == window then -- the rest was not looked at
      count = math.max(seen, count) - suspects
    else
      count = seen - suspects
      if count == 0 and #items == window then
        local start = window - #taken
        if has_suspect(call('LRANGE', queue, start, start + DEEP - 1)) then count = 1 end
      end
    end
    among[queue] = count > 0 and count or nil
    if count > 0 then call('HSET', K[8], queue, count) else call('HDEL', K[8], queue) end
    return taken
  end
end

if want > 0 then
  for q = 9, #K do
    local jobs = pick and pick(q)
    if not jobs and not only_suspects then
      jobs = redis.pcall('LPOP', K[q], want - reserved) -- an error: the key is no list; go on
    end
    if jobs and not jobs.err and #jobs > 0 then
      local origin, fields, f = #K[q] .. ':' .. K[q], {}, 0
      for j = 1, #jobs do
        reserved = reserved + 1
        fields[f + 1] = A[slots + reserved]
        fields[f + 2] = origin .. jobs[j]
        f = f + 2
        if f >= CHUNK then
          call('HSET', ledger, unpack(fields, 1, f))
          f = 0
        end
      end
      if f > 0 then call('HSET', ledger, unpack(fields, 1, f)) end
      out[o + 1], out[o + 2] = q - 9, jobs
      o = o + 2
      if reserved >= want or alone then break end
    end
  end
end

for first = slots + reserved + 1, slots + ended, CHUNK do
  call('HDEL', ledger, unpack(A, first, math.min(first + CHUNK - 1, slots + ended)))
end
call('HSET', ledger, 'state',
  A[1] .. ' ' .. (tonumber(A[4]) + reserved) .. ' ' .. A[5] .. ' ' .. A[6] .. ' ' .. A[7])

if reserved == 0 and A[3] == '1' then
  for first = 9, #K, CHUNK do call('EXISTS', unpack(K, first, math.min(first + CHUNK - 1, #K))) end
end
if alone then out[o + 1] = 'alone' elseif left then out[o + 1] = 'left' end
return out
