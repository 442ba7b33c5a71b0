-- A process has found its queues empty: it listens for the next push, or waits to be woken.
--
-- Up to `limit` processes of one queue list listen: the server announces every push to them. The
-- others wait, and are woken by a key of their own (hand_over.lua). Entries that were not renewed
-- in time are of processes that have died; those that count for longer than any process asks for
-- were made before the server's clock was set back.
--
-- Reading a key has the server announce its next change. So only keys that are to wake the process
-- are read here.
--
-- KEYS  1 listening (ZSET)   2 waiting (ZSET)   3 wake key of this process (STRING)
--       4 polls (STRING)   5.. its queues
-- ARGV  1 limit; 0: no limit, and no entries   2 seconds for which the entry of this process counts
--       3 milliseconds between two looks of a process
-- Returns  {-1: it waits; else it listens, and how many queues exist: above 0, look once more;
--           1 when it may look rarely, else 0; wake keys of some that wait, for one that listens}
local listening, waiting, wake, polls, call = KEYS[1], KEYS[2], KEYS[3], KEYS[4], redis.call
local FIRST_LIST = 5
-- include stand_in_line
local found = listens and (#KEYS >= FIRST_LIST and call('EXISTS', unpack(KEYS, FIRST_LIST)) or 0)
return {found or -1, unpack(place)}
