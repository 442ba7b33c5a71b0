-- Any jobs: all is planned before the first write.
local failure = nil
-- include put_off_all
-- include unique_jobs
-- include unique_locks
-- include unique_duplicates
-- include unique_write
words, pushed = {}, 0
for i = FIRST_JOB, #A, 4 do
  local lock = lock_of(K[FIRST_LOCK + (i - FIRST_JOB) / 4])
  if failure then break end
  local due = (kind == 'at' and 0 or now) + A[i + 1]
  words[#words + 1] = (kind == 'throttle' and throttled or unique)(lock, A[i], due, A[i + 2], A[i + 3])
  if words[#words] == '+' then pushed = pushed + 1 end
  if failure then break end
end
if not failure and (pushed == #words or on_duplicate ~= 'raise') then failure = write() end
if failure then
  call('HINCRBY', producer, A[1], last - number) -- late copies of calls before this one stay done
  return redis.error_reply(failure)
end
