-- Remove jobs that wait in a queue, the next ones first. A queue that has none left is forgotten; its
-- next job makes it known again.
--
-- KEYS  1 queues (SET)   2 suspects (SET)   3, 4 lists of suspects   5 the queue
-- ARGV  1 name of the queue   2 the most to remove; fewer where they are large
-- Returns  how many were removed, 1 when none are left, then the items of unique and of tracked
--          jobs among them, whose locks are to be released and whose states are to be written
local queues, suspects = KEYS[1], KEYS[2]
local several, one, queue = KEYS[3], KEYS[4], KEYS[5]
local guarded = suspects
-- include guard
local MOST_BYTES, CHUNK = 4 * 1024 * 1024, 100
local removed, most, size, out = 0, tonumber(ARGV[2]), 0, {0, 0}
for _, list in ipairs({several, one, queue}) do
  while removed < most and size < MOST_BYTES do
    local jobs = redis.pcall('LRANGE', list, 0, math.min(CHUNK, most - removed) - 1)
    if jobs.err then return jobs end
    if #jobs == 0 then break end
    for _, job in ipairs(jobs) do
      size = size + #job
      if string.find(job, '"unique"', 1, true) or string.find(job, '"track"', 1, true) then out[#out + 1] = job end
    end
    redis.call('LTRIM', list, #jobs, -1)
    removed = removed + #jobs
  end
end
if redis.call('EXISTS', several, one) == 0 then redis.pcall('SREM', suspects, ARGV[1]) end
if redis.call('EXISTS', several, one, queue) == 0 then
  redis.pcall('SREM', queues, ARGV[1])
  out[2] = 1
end
out[1] = removed
return out
