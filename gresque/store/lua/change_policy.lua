-- Change a part of the policy of a queue; the other parts stay.
--
-- KEYS  1 policies (HASH)   2 rates (HASH)
-- ARGV  1 queue   2 first letters of the words to replace   3 first letter of the word of a rate
--       4 the words to put in their place, separated by blanks
-- Returns  {the policy before, the policy after}; '' for none
local policies, rates = KEYS[1], KEYS[2]
local queue, letters, rate, words = unpack(ARGV)
local call = redis.call
-- Once a script has written it may go on when Redis is full: then a pause is what is wanted.
call('HDEL', policies, '')
local before = call('HGET', policies, queue) or ''

local kept, old_rate = {}, nil
for word in before:gmatch('%S+') do
  local letter = word:sub(1, 1)
  if letter == rate then old_rate = old_rate or word end
  if not letters:find(letter, 1, true) then kept[#kept + 1] = word end
end
local new_rate
for word in words:gmatch('%S+') do
  if word:sub(1, 1) == rate then new_rate = word end
  kept[#kept + 1] = word
end
local after = table.concat(kept, ' ')

if letters:find(rate, 1, true) and new_rate ~= old_rate then
  call('HDEL', rates, queue) -- another rate begins now: jobs that the old one started do not count
end
if after == before then return {before, after} end
if after == '' then
  call('HDEL', policies, queue)
else
  call('HSET', policies, queue, after)
end
return {before, after}
