-- The worker processes of one machine, of the many that may be registered.
--
-- KEYS  1 processes (HASH)
-- ARGV  1 the machine
-- Returns  {{process, where it is found, …}, {key, its error, …}; how many there are on all machines}
local processes = KEYS[1]
-- include try
local guarded = processes
-- include guard
local all, machine, found = try('HGETALL', processes) or {}, ARGV[1] .. ' ', {}
for i = 1, #all, 2 do
  if string.sub(all[i + 1], 1, #machine) == machine then
    found[#found + 1], found[#found + 2] = all[i], all[i + 1]
  end
end
return {found, refusals, #all / 2}
