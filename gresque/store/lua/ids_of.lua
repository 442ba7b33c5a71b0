-- The ids that stand in jobs, without sending the jobs. An argument that looks like one counts, too.
--
-- KEYS  1 a list of jobs, or a ledger (HASH)
-- ARGV  1, 2 the first index and the last one in the list; none for a ledger
-- Returns  {id, …}; none where the key is of another type
local place, found, jobs = KEYS[1], {}, nil
if #ARGV > 0 then
  jobs = redis.pcall('LRANGE', place, ARGV[1], ARGV[2])
else
  jobs = redis.pcall('HVALS', place)
end
for i = 1, #jobs do
  for id in string.gmatch(jobs[i], '"id":"([^"]*)"') do found[#found + 1] = id end
end
return found
