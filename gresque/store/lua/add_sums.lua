-- Add counts to the hashes of metrics, once, however often this is sent.
--
-- KEYS  1 metrics:flush:<name> (STRING): the number of the last call of this caller   2.. the hashes
-- ARGV  1 the number of this call   2.. of each hash: for how many seconds it is kept, its counts,
--       how many fields it may have (include/add_sums.lua)
-- Returns  the refusals, each as four texts: what, command, key, error.
local call, pcall, notes, noted = redis.call, redis.pcall, nil, nil
local last_number = KEYS[1]
-- include note
-- include add_sums
if call('GET', last_number) == ARGV[1] then return {} end
call('SET', last_number, ARGV[1], 'EX', 600)
for i = 2, #KEYS do
  add_sums(KEYS[i], ARGV[3 * i - 4], ARGV[3 * i - 3], tonumber(ARGV[3 * i - 2]))
end
return notes or {}
