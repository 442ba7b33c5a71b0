-- Go through the oldest entries of a failed list: drop, keep or change each, and push its job.
--
-- What is kept is moved to the end. When every entry has been moved once, the list is in its old
-- order, and every step was cheap: Redis walks through the list to change an entry in its middle.
-- The lock `failed_sweep` admits one command at a time: of two, each would move entries past the
-- other.
--
-- KEYS  1 failed list (LIST)   2 queues (SET)   3 failed_sweep (STRING)
--       4 failed_changes (STREAM)   5.. for each change three: the queue of its job (LIST), the lock
--       of its job (HASH), its state if it is tracked (HASH); the failed list where there is none
-- ARGV  1 token of the command that holds the lock   2 milliseconds until the lock expires
--       3 how many of the oldest entries to go through, 1,000 at most
--       4 the last of them as it was read; '' not to look
--       5.. for each entry to change twelve: its place among them from 1, the entry as it was read,
--       what is kept of it ('' to drop it), 'push' or '', queue name, the job; id, mode and class of
--       a job that has a lock, '' of others; state, details and expiry in ms of a tracked job
-- Returns  how many jobs could not be pushed, their entries being kept as they were; -1 when other
--          entries are the oldest now, -2 when another command holds the lock: nothing was done
local failed, queues, failed_sweep, changes, call = KEYS[1], KEYS[2], KEYS[3], KEYS[4], redis.call
local FIRST_QUEUE, count = 5, tonumber(ARGV[3])
call('LTRIM', failed, 0, -1) -- it changes nothing: a replica refuses here
if call('GET', failed_sweep) ~= ARGV[1] then return -2 end
local entries = call('LRANGE', failed, 0, count - 1)
if #entries < count or ARGV[4] ~= '' and entries[count] ~= ARGV[4] then return -1 end
for i = 5, #ARGV, 12 do
  if entries[tonumber(ARGV[i])] ~= ARGV[i + 1] then return -1 end
end

call('PEXPIRE', failed_sweep, ARGV[2])
-- include lock_if_free
-- include push_retried
-- include state_of_retry
-- include note_failed
local refused, marked, dropped, length = 0, {}, {}, call('LLEN', failed)
for i = 5, #ARGV, 12 do
  local kept = ARGV[i + 2]
  if ARGV[i + 3] == 'push' then
    local at, name = FIRST_QUEUE + 3 * (i - 5) / 12, ARGV[i + 4]
    local pushed = push(KEYS[at], name, ARGV[i + 5])
    if type(pushed) ~= 'number' then
      kept = ARGV[i + 1]
      refused = refused + 1
    else
      lock_if_free(KEYS[at + 1], ARGV[i + 6], ARGV[i + 7], ARGV[i + 8], name, ARGV[i + 5])
      note_retry(KEYS[at + 2], ARGV[i + 9], ARGV[i + 10], ARGV[i + 11])
    end
  end
  local changed = kept == '' and dropped or kept ~= ARGV[i + 1] and marked
  if changed then changed[#changed + 1] = ARGV[i] - 1 end
  entries[tonumber(ARGV[i])] = kept ~= '' and kept
end
local kept = {}
for i = 1, count do
  if entries[i] then kept[#kept + 1] = entries[i] end
end
if #kept > 0 then call('RPUSH', failed, unpack(kept)) end
call('LTRIM', failed, count, -1)
note_failed(changes, failed, length, table.concat(marked, ' '), table.concat(dropped, ' '), count)
return refused
