-- Move due jobs from a list of resque-scheduler's to their queues, in their order, as long as the
-- list begins with the items that the caller has read.
--
-- The locks of the schedulers of Ruby and Node are held meanwhile: neither of them moves the same
-- jobs. Another gresque's is as good as this one's, since two of them do no harm.
--
-- KEYS  1 delayed_queue_schedule (ZSET)   2 delayed:<timestamp> (LIST)
--       3 lock of Ruby's scheduler, 4 of Node's (STRINGs)   5 queues (SET)   6 failed_queues (SET)
--       7.. lists that jobs go to, then timestamps:<item> of each item (SETs)
-- ARGV  1 timestamp   2 this one's mark in the locks, which begins with 'gresque '
--       3 milliseconds until the locks expire   4 number of lists
--       5.. for each list the SET of its name ('queues', 'failed' or '') and its name
--       then for each item: the item, its payload, the number of its list
-- Returns  {jobs moved, {key, its error, …}}; or {lock, its holder} when a scheduler has it
local schedule, list, queues, failed_queues = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local locks = {KEYS[3], KEYS[4]}
local A, call = ARGV, redis.call
local guarded = schedule
-- include guard
-- include try
for i, lock in ipairs(locks) do
  if not call('SET', lock, A[2], 'NX', 'PX', A[3]) then
    local holder = redis.pcall('GET', lock)
    if type(holder) == 'table' then holder = holder.err end
    if string.sub(holder, 1, 8) ~= 'gresque ' then
      if i == 2 and call('GET', locks[1]) == A[2] then call('DEL', locks[1]) end
      return {lock, holder}
    end
    if holder == A[2] then call('PEXPIRE', lock, A[3]) end
  end
end

local lists = tonumber(A[4])
local first, indexes = 5 + 2 * lists, {queues = queues, failed = failed_queues}
local count, moved = (#A - first + 1) / 3, 0
local there = count > 0 and call('LRANGE', list, 0, count - 1) or {}
if count > 0 then call('LTRIM', list, 0, -1) end -- what is refused is so before a job is copied
while moved < count do
  -- As many as follow each other into one list.
  local place, run, to = first + 3 * moved, {}, A[first + 3 * moved + 2]
  while there[moved + #run + 1] and there[moved + #run + 1] == A[place] and A[place + 2] == to do
    run[#run + 1], place = A[place + 1], place + 3
  end
  if #run == 0 or not try('RPUSH', KEYS[6 + to], unpack(run)) then break end
  local index, name = indexes[A[3 + 2 * to]], A[4 + 2 * to]
  if index then try('SADD', index, name) end
  for i = moved + 1, moved + #run do try('SREM', KEYS[6 + lists + i], 'delayed:' .. A[1]) end
  moved = moved + #run
end
if moved > 0 then call('LTRIM', list, moved, -1) end
if try('LLEN', list) == 0 then call('ZREM', schedule, A[1]) end
return {moved, refusals}
