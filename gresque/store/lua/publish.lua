-- A worker process publishes what has changed of what it runs, and what its jobs wait on.
--
-- What stands there is a text of lines: the first one is all that ran, each later one says what has
-- changed. The process knows how long it is. If it is of another length, a server has forgotten some
-- of it, or it has expired: it is removed, and the process says all again.
--
-- KEYS  1 running (STRING)   2 watch (STRING)   3 waits (STRING); only while a viewer looks
-- ARGV  1 a line to append, '' for none   2 how long the text is, as the process knows it; '' to put
--       the line in its place   3 seconds until it expires
--       4 what its jobs wait on: JSON, '' for the same as before   5 seconds until that expires
-- Returns  {length of the text, -1 when it was another one; 1 while a viewer looks at what jobs wait
--           on, else 0; 0 when what they wait on is not known there, else 1; {key, its error, …}}
--          The server announces the next viewer while the process runs something.
local running, watch, waits, call = KEYS[1], KEYS[2], KEYS[3], redis.call
local guarded = running
-- include guard
-- include try
local length = 0
if ARGV[2] == '' then
  call('DEL', running)
elseif tonumber(ARGV[2]) > 0 then
  length = redis.pcall('SETRANGE', running, 0, '') -- its length, without a read or a change
  if length ~= tonumber(ARGV[2]) then
    call('DEL', running)
    return {-1, 0, 0, refusals}
  end
end
if ARGV[1] ~= '' then length = call('APPEND', running, ARGV[1]) end
if length > 0 then call('EXPIRE', running, ARGV[3]) end
local known = 1
if waits and ARGV[4] ~= '' then
  try('SET', waits, ARGV[4], 'EX', ARGV[5])
elseif waits then
  known = try('EXPIRE', waits, ARGV[5]) or 1
end
local watched = length > 0 and try('EXISTS', watch) or 0
return {length, watched, known, refusals}
