-- What a turn comes to for plain jobs of one queue: the numbers, the ledger, the counts. The real one
-- is gresque/store/lua/cycle.lua.
--
-- KEYS  1 ledger (HASH)   2 stat:processed   3 stat:processed:<worker>   4 the queue (LIST)
-- ARGV  1 number of the turn   2 want   3 how many jobs ended   4.. slots, the ended ones first
-- Returns  payloads, which fill the slots in order
local ledger, A, call = KEYS[1], ARGV, redis.call
local want, ended = tonumber(A[2]), tonumber(A[3])
call('HDEL', ledger, 'none')
local state = call('HGET', ledger, 'state') or '0 0'
local last = string.match(state, '^(%d+)')
if tonumber(last) + 1 ~= tonumber(A[1]) then return redis.error_reply('a turn was lost') end
local jobs = want > 0 and call('LPOP', KEYS[4], want) or {}
local fields, origin = {}, #KEYS[4] .. ':' .. KEYS[4]
for j = 1, #jobs do
  fields[2 * j - 1], fields[2 * j] = A[3 + j], origin .. jobs[j]
end
if #jobs > 0 then call('HSET', ledger, unpack(fields)) end
if #jobs < ended then call('HDEL', ledger, unpack(A, 4 + #jobs, 3 + ended)) end
call('HSET', ledger, 'state', A[1] .. ' ' .. #jobs)
if ended > 0 then
  call('INCRBY', KEYS[2], ended)
  call('INCRBY', KEYS[3], ended)
end
return jobs
