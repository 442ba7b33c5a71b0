-- One turn of a worker process: settle what has ended, give back what will not run, reserve more.
--
-- A job stands in the ledger from the moment it leaves its queue until its end is settled here.
-- New jobs go into the slots of ended ones: overwriting a slot acknowledges the job that was in it.
-- A job under which a process has died is a suspect, until it has run to its end: it waits in its
-- queue as others do, and is taken only where few can die with it.
--
-- The server may refuse to move a job: the list it goes to is of another type, or this user may not
-- write to it. Such a job stays in its slot and does not count as ended; the rest of the turn goes
-- on. A refused counter is left out.
--
-- KEYS  1 ledger (HASH)   2 stat:processed   3 stat:failed
--       4 stat:processed:<worker>   5 stat:failed:<worker>   6 queues (SET)
--       7 failed_queues (SET)   8 suspects (HASH)   9.. the queues, in priority order
-- ARGV  1 sequence number of this turn; a turn whose reply was lost is sent again under the same
--       2 want: how many jobs to reserve at most
--       3 arm: 1 to have the connection told of the next push when nothing was found
--       4-7 totals of the process before this turn's reservation: reserved, done, failed, requeued
--       8 jobs that ended in this turn, failed ones included   9 those that failed
--       10 how many failure entries follow, each as four arguments: slot (also among the ended
--          ones), list key, entry, the list's name among failed_queues, '' for a list that does
--          not stand there
--       11 how many jobs to give back follow, each as two arguments: slot (also among the ended
--          ones), queue name; the last one comes to the head of its queue
--       12 how many ended slots follow, then free ones; want is at most their sum
--       13 suspects: 'leave' them; 'alone': take one if the process then holds nothing else; or a
--          number: take nothing but suspects, so many that saw one death, or one alone
--       14.. entries, jobs to give back, ended slots, free slots
-- Returns  {queue index from 0, {payload, …}, queue index, …}: payloads fill the slots in order;
--          at its end 'alone' when a suspect was taken that wants to be, else 'left' when suspects
--          were left behind;
--          {'refused', {slot, …}, {what, command, key, error, …}, the above}: the jobs in these
--          slots stay there, the slots are not among those that payloads fill. What is 'move' for
--          a job that stays in its slot, 'count' for a counter or an index that lacks something,
--          'look' for a key that could not be looked at;
--          {'replay', '' or '!slot,…' of refused ones, entry or false, …} of the first `want` slots
--          (without the refused ones) when this turn was done before;
--          {'gap', first word of `state`} when the server has forgotten turns of this process, or
--          catching up with them (catch_up.lua) is not finished: nothing was done;
--          'fenced' when the ledger is no longer this process's: it was declared dead;
--          'stale' to a request that arrives after a later one was done: nobody reads that.
local ledger, processed_stat, failed_stat = KEYS[1], KEYS[2], KEYS[3]
local own_processed, own_failed = KEYS[4], KEYS[5]
local queues, failed_queues, suspects = KEYS[6], KEYS[7], KEYS[8]
local K, A, call, pcall = KEYS, ARGV, redis.call, redis.pcall
local CHUNK = 4000 -- Lua's stack takes some 8,000 values in one unpack
local SUSPECT = '^%s*{%s*"recoveries"%s*:%s*(%d+)%s*,%s*"deaths"'
local NEAR = 64 -- suspects are looked for among so many jobs at first
local DEEP = 10000 -- so far a queue is searched before it counts as free of suspects
local EXPIRY = 86400 -- of the count of suspects, should nobody work their queue any more
local want = tonumber(A[2])
local entries, gives, ended = tonumber(A[10]), tonumber(A[11]), tonumber(A[12])
local slots = 13 + 4 * entries + 2 * gives -- the first slot is A[slots + 1]

-- First a write, so that a replica refuses before it has answered anything. And one that needs no
-- memory: such a script may finish when Redis is full, and jobs can still leave.
local first = pcall('HDEL', ledger, 'none')
if type(first) == 'table' then
  if not string.find(first.err, 'WRONGTYPE', 1, true) then return first end
  call('DEL', ledger) -- another program has replaced the ledger, which is written anew
end

local state = call('HGET', ledger, 'state')
if not state or string.sub(state, 1, 6) == 'fenced' then return 'fenced' end
local last, mark = string.match(state, '^(%d+)(%S*)')
last = tonumber(last) or -1
if last > tonumber(A[1]) then return 'stale' end
if last < A[1] - 1 or mark ~= '' and string.sub(mark, 1, 1) == '~' then
  return {'gap', string.match(state, '^%S*')}
end

-- The slots that can be filled are S[base + 1], …: those of refused jobs cannot.
local S, base = A, slots
local function keep(refused)
  S, base = {}, 0
  for i = slots + 1, #A do
    if not refused[A[i]] then
      S[#S + 1] = A[i]
    elseif i <= slots + tonumber(A[12]) then
      ended = ended - 1
    end
  end
  want = math.min(want, #S)
end

if last == tonumber(A[1]) then
  if mark ~= '' then
    local refused = {}
    for slot in string.gmatch(mark, '[^!,]+') do refused[slot] = true end
    keep(refused)
  end
  local out = {'replay', mark}
  for first = base + 1, base + want, CHUNK do
    local held = call('HMGET', ledger, unpack(S, first, math.min(first + CHUNK - 1, base + want)))
    for i = 1, #held do out[#out + 1] = held[i] end
  end
  return out
end

local refused, notes, noted = nil, nil, nil -- tables once there is something in them
local function note(what, done, command, key)
  if type(done) ~= 'table' or not done.err then return end
  if not notes then notes, noted = {}, {} end
  if not noted[key] then
    noted[key] = true
    for _, part in ipairs({what, command, key, done.err}) do notes[#notes + 1] = part end
  end
  return done
end

local failed, requeued = tonumber(A[6]), tonumber(A[7])
local processed, failures = tonumber(A[8]), tonumber(A[9])
if entries + gives > 0 then
  -- A server that refuses to change the ledger must do so before a job has moved: the turn is sent
  -- again, and would move it again.
  call('HSET', ledger, 'state', state)
  local tried = {} -- key -> the error with which it refuses, false for none
  local known, by_slot = {}, {}

  local function refuse(slot)
    refused = refused or {}
    refused[#refused + 1] = slot
    by_slot[slot] = true
  end

  for i = 14, 10 + 4 * entries, 4 do
    local list, name = A[i + 1], A[i + 3]
    if tried[list] == nil then
      tried[list] = name ~= '' and note('move', pcall('SADD', failed_queues, name), 'SADD', failed_queues) or false
    end
    if not tried[list] then
      tried[list] = note('move', pcall('RPUSH', list, A[i + 2]), 'RPUSH', list) or false
    end
    if tried[list] then
      refuse(A[i])
      failed, processed, failures = failed - 1, processed - 1, failures - 1
    end
  end

  for i = slots - 2 * gives + 1, slots, 2 do
    local entry = call('HGET', ledger, A[i])
    if entry then
      local colon = string.find(entry, ':', 1, true)
      local split = colon and tonumber(string.sub(entry, 1, colon - 1))
      local queue, job = ledger, nil
      if split then
        queue = string.sub(entry, colon + 1, colon + split)
        job = string.sub(entry, colon + split + 1)
        if not tried[queue] then
          tried[queue] = note('move', pcall('LPUSH', queue, job), 'LPUSH', queue) or false
        end
      else
        tried[queue] = note('move', {err = 'an entry without its length'}, 'HGET', queue)
      end
      if tried[queue] then
        refuse(A[i])
        requeued = requeued - 1
      else
        if not known[queue] then -- somebody may have removed the queue meanwhile
          known[queue] = true
          note('count', pcall('SADD', queues, A[i + 1]), 'SADD', queues)
        end
        if string.find(job, SUSPECT) then
          note('count', pcall('HINCRBY', suspects, queue, 1), 'HINCRBY', suspects)
          pcall('EXPIRE', suspects, EXPIRY)
        end
      end
    end
  end
  if refused then keep(by_slot) end
end

local out, o, reserved = {}, 0, 0
local only_suspects = A[13] ~= 'leave' and A[13] ~= 'alone'
local alone, left, pick = false, false, nil
local known = want > 0 and pcall('HGETALL', suspects) or {} -- queue, suspects in it, …; rarely any
if note('look', known, 'HGETALL', suspects) then known = {} end
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
      local item = pcall('LINDEX', queue, place)
      if type(item) ~= 'string' or not string.find(item, SUSPECT) then return false end
    end
    return true
  end

  -- Take items out of a queue: `places` are their indexes, counted from 0. False when this user
  -- lacks a right that it takes; that shows before anything is changed.
  local function remove(queue, places, items, first)
    if first > 0 then -- from behind many: those stay where they are
      local mark = ledger .. ' ' .. A[1] -- nobody else's
      if note('look', pcall('LREM', queue, 1, mark), 'LREM', queue) then return false end
      for i = 1, #places do
        if note('look', pcall('LSET', queue, places[i], mark), 'LSET', queue) then return false end
      end
      call('LREM', queue, #places, mark)
      return true
    end
    local back, p = {}, #places
    for place = places[p], 0, -1 do
      if places[p] == place then p = p - 1 else back[#back + 1] = items[place + 1] end
    end
    local may_push = pcall('LPUSH', ledger, '') -- the ledger is no list: only the right is asked for
    if not string.find(may_push.err, 'WRONGTYPE', 1, true) then
      note('look', may_push, 'LPUSH', queue)
      return false
    end
    if note('look', pcall('LPOP', queue, places[#places] + 1), 'LPOP', queue) then return false end
    for i = 1, #back, CHUNK do
      call('LPUSH', queue, unpack(back, i, math.min(i + CHUNK - 1, #back)))
    end
    return true
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
    local items = pcall('LRANGE', queue, first, first + window - 1)
    if items.err then
      items = {}
    elseif first == 0 and window < count + room and not has_suspect(items) then
      window = count + room
      items = call('LRANGE', queue, 0, window - 1)
    end
    local taken, places, seen, tried = {}, {}, 0, 0
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
        if take then tried = tried + 1 end
      end
      if take then
        taken[#taken + 1] = items[i]
        places[#places + 1] = first + i - 1
      end
    end
    if #taken > 0 and not remove(queue, places, items, first) then return {} end

    -- What others took or removed shows here; what a shutdown gave back may lie before suspects.
    if first > 0 then
      left = true
      count = count + seen
    elseif window < count + room and #items == window then -- the rest was not looked at
      count = math.max(seen, count) - tried
    else
      count = seen - tried
      if count == 0 and #items == window then
        local start = window - #taken
        if has_suspect(call('LRANGE', queue, start, start + DEEP - 1)) then count = 1 end
      end
    end
    among[queue] = count > 0 and count or nil
    if count > 0 then pcall('HSET', suspects, queue, count) else pcall('HDEL', suspects, queue) end
    return taken
  end
end

if want > 0 then
  for q = 9, #K do
    local jobs = pick and pick(q)
    if not jobs and not only_suspects then
      jobs = pcall('LPOP', K[q], want - reserved)
      if jobs and jobs.err then -- the key is no list, say: go on
        note('look', jobs, 'LPOP', K[q])
        jobs = false
      end
    end
    if jobs and #jobs > 0 then
      local origin, fields, f, kept = #K[q] .. ':' .. K[q], {}, 0, nil
      for j = 1, #jobs do
        reserved = reserved + 1
        fields[f + 1] = S[base + reserved]
        fields[f + 2] = origin .. jobs[j]
        f = f + 2
        if f >= CHUNK or j == #jobs then
          kept = pcall('HSET', ledger, unpack(fields, 1, f))
          if type(kept) == 'table' then break end
          f = 0
        end
      end
      if type(kept) == 'table' then -- this user may not write to the ledger any more
        for j = #jobs, 1, -1 do call('LPUSH', K[q], jobs[j]) end
        return kept
      end
      out[o + 1], out[o + 2] = q - 9, jobs
      o = o + 2
      if reserved >= want or alone then break end
    end
  end
end

for first = base + reserved + 1, base + ended, CHUNK do
  call('HDEL', ledger, unpack(S, first, math.min(first + CHUNK - 1, base + ended)))
end
local held_back = refused and '!' .. table.concat(refused, ',') or ''
call('HSET', ledger, 'state',
  A[1] .. held_back .. ' ' .. (tonumber(A[4]) + reserved) .. ' ' .. A[5] .. ' ' .. failed .. ' ' ..
  requeued)

-- Nothing after this is repeated when it is refused: the turn is done.
if processed > 0 then
  note('count', pcall('INCRBY', processed_stat, processed), 'INCRBY', processed_stat)
  note('count', pcall('INCRBY', own_processed, processed), 'INCRBY', own_processed)
end
if failures > 0 then
  note('count', pcall('INCRBY', failed_stat, failures), 'INCRBY', failed_stat)
  note('count', pcall('INCRBY', own_failed, failures), 'INCRBY', own_failed)
end
if reserved == 0 and A[3] == '1' then
  for first = 9, #K, CHUNK do
    local last_key = math.min(first + CHUNK - 1, #K)
    note('look', pcall('EXISTS', unpack(K, first, last_key)), 'EXISTS', K[first])
  end
end
if alone then out[o + 1] = 'alone' elseif left then out[o + 1] = 'left' end
if refused or notes then return {'refused', refused or {}, notes or {}, out} end
return out
