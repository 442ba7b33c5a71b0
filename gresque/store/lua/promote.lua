-- Move due jobs from `later` to the ends of their queues, in the order of the call.
--
-- A job that was moved, cancelled or put off meanwhile is passed over, so two callers at once do no
-- harm. A queue that refuses its jobs holds up no other queue: its jobs go on waiting.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)   3 queues (SET)   4.. the queues of the jobs (LISTs)
-- ARGV  1 number of queues   2.. their names
--       then for each job: its name in later, the number of its queue; 0 when it has no entry
-- Returns  {jobs moved, {key, its error, …}}
local later, jobs, queues = KEYS[1], KEYS[2], KEYS[3]
local A, call = ARGV, redis.call
local guarded = later
-- include guard
-- include try
-- include now_ms
-- A user who may not take a job out of here must not copy it, again and again.
call('ZREM', later, 'none')
call('HDEL', jobs, 'none')
local now, count, moved = now_ms(math.floor), tonumber(A[1]), 0
local heads, names, payloads = {}, {}, {}
for q = 1, count do
  local key = KEYS[3 + q]
  heads[q], names[q], payloads[q] = #key .. ':' .. key, {}, {}
end
local all = {}
for i = 2 + count, #A, 2 do all[#all + 1] = A[i] end
local dues, entries = {}, {}
if #all > 0 then dues, entries = call('ZMSCORE', later, unpack(all)), call('HMGET', jobs, unpack(all)) end
for i, name in ipairs(all) do
  local due, entry, q = dues[i], entries[i], tonumber(A[3 + count + 2 * (i - 1)])
  if due and tonumber(due) <= now then
    local head = heads[q]
    if not entry then
      call('ZREM', later, name)
    elseif head and string.find(entry, head, 1, true) == 1 then
      names[q][#names[q] + 1] = name
      payloads[q][#payloads[q] + 1] = string.sub(entry, #head + 1)
    end
  end
end
for q = 1, count do
  local queue = KEYS[3 + q]
  if #names[q] > 0 and try('RPUSH', queue, unpack(payloads[q])) then
    call('ZREM', later, unpack(names[q]))
    call('HDEL', jobs, unpack(names[q]))
    try('SADD', queues, A[1 + q])
    moved = moved + #names[q]
  end
end
return {moved, refusals}
