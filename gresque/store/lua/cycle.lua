-- One turn of a worker process: settle what has ended, give back what will not run, reserve more.
--
-- A job stands in the ledger from the moment it leaves its queue until its end is settled here.
-- New jobs go into the slots of ended ones: overwriting a slot acknowledges the job that was in it.
--
-- KEYS  1 ledger (HASH)   2 stat:processed   3 stat:failed
--       4 stat:processed:<worker>   5 stat:failed:<worker>   6 queues (SET)
--       7 failed_queues (SET)   8.. the queues, in priority order
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
--       13.. entries, jobs to give back, ended slots, free slots
-- Returns  {queue index from 0, {payload, …}, queue index, …}: payloads fill the slots in order;
--          {'replay', entry or false, …} of the first `want` slots when this turn was done before;
--          'fenced' when the ledger is no longer this process's: it was declared dead;
--          'stale' to a request that arrives after a later one was done: nobody reads that.
local K, A, call = KEYS, ARGV, redis.call
local CHUNK = 4000 -- Lua's stack takes some 8,000 values in one unpack
local ledger, want = K[1], tonumber(A[2])
local entries, gives, ended = tonumber(A[10]), tonumber(A[11]), tonumber(A[12])
local slots = 12 + 3 * entries + 2 * gives -- the first slot is A[slots + 1]

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
for i = 13, 10 + 3 * entries, 3 do
  if A[i] ~= A[i - 3] then -- with several lists, all are tried before the first entry is pushed
    call('LLEN', A[i])
    if A[i + 2] ~= '' then call('SADD', K[7], A[i + 2]) end
  end
end
for i = 13, 10 + 3 * entries, 3 do call('RPUSH', A[i], A[i + 1]) end
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
    call('LPUSH', string.sub(entry, colon + 1, split), string.sub(entry, split + 1))
  end
end

local out, o, reserved = {}, 0, 0
if want > 0 then
  for q = 8, #K do
    local jobs = redis.pcall('LPOP', K[q], want - reserved) -- an error: the key is no list; go on
    if jobs and not jobs.err then
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
      out[o + 1], out[o + 2] = q - 8, jobs
      o = o + 2
      if reserved >= want then break end
    end
  end
end

for first = slots + reserved + 1, slots + ended, CHUNK do
  call('HDEL', ledger, unpack(A, first, math.min(first + CHUNK - 1, slots + ended)))
end
call('HSET', ledger, 'state',
  A[1] .. ' ' .. (tonumber(A[4]) + reserved) .. ' ' .. A[5] .. ' ' .. A[6] .. ' ' .. A[7])

if reserved == 0 and A[3] == '1' then
  for first = 8, #K, CHUNK do call('EXISTS', unpack(K, first, math.min(first + CHUNK - 1, #K))) end
end
return out
