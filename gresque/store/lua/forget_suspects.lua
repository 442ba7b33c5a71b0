-- Take a queue out of the set of those that have suspects, when it has none. Every script that adds a
-- suspect adds its queue too, so that no suspect goes unnoticed. When it has some, it becomes one of
-- the queues again, should another program have removed it: else globs would not find it.
--
-- KEYS  1 suspects (SET)   2, 3 the lists of the queue's suspects   4 queues (SET)
-- ARGV  1 queue name
-- Returns  how many of the lists exist
local suspects, several_deaths, one_death, queues = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local guarded = suspects
-- include guard
local found = redis.call('EXISTS', several_deaths, one_death)
if found == 0 then
  redis.pcall('SREM', suspects, ARGV[1])
else
  redis.pcall('SADD', queues, ARGV[1])
end
return found
