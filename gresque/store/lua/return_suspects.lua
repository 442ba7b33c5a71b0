-- Put the suspects of a queue back to its head, where other programs find them, too: no process of
-- gresque serves the queue any more.
--
-- KEYS  1 suspects (SET)   2 queues (SET)   3, 4 the lists of the queue's suspects   5 the queue
-- ARGV  1 queue name   2 how many jobs to move at most
-- Returns  how many were moved; when it is less than asked for, none are left
local suspects, queues, several_deaths, one_death, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local guarded = suspects
-- include guard
local moved, most = 0, tonumber(ARGV[2])
for _, list in ipairs({one_death, several_deaths}) do -- the last ones come to the head
  while moved < most do
    local job = redis.pcall('LMOVE', list, queue, 'RIGHT', 'LEFT')
    if type(job) == 'table' and job.err then return job end
    if not job then break end
    moved = moved + 1
  end
end
if moved > 0 then redis.pcall('SADD', queues, ARGV[1]) end
if moved < most then redis.pcall('SREM', suspects, ARGV[1]) end
return moved
