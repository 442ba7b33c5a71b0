-- Give jobs that wait and have no time one. Those that have one, or are gone, are passed over.
--
-- KEYS  1 later (ZSET)   2 later:jobs (HASH)
-- ARGV  for each job: its name in later, when it is due in epoch milliseconds
-- Returns  how many were given a time
local later, jobs = KEYS[1], KEYS[2]
local guarded = later
-- include guard
local given = 0
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', jobs, ARGV[i]) == 1 then
    given = given + redis.call('ZADD', later, 'NX', ARGV[i + 1], ARGV[i])
  end
end
return given
