-- The totals stay true, and so does what the log will say, should the recovery be cut off and begun
-- again by another process: `fenced:<requeued>:<failed>:<poison> <sequence> <totals>`.
local state = redis.call('HGET', ledger, 'state')
local left = redis.call('HLEN', ledger)
local keep = state and ARGV[2] == ''
if state then
  left = left - 1
  local tally, before, f, r = string.match(state, '^fenced(%S*) (%d%S* %d+ %d+ )(%d+) (%d+)$')
  if not tally then tally, before, f, r = '', '0 0 0 ', 0, 0 end
  local requeued0, failed0, poison0 = string.match(tally, '^:(%d+):(%d+):(%d+)$')
  tally = {requeued + (requeued0 or 0), failed + (failed0 or 0), poison + (poison0 or 0)}
  if left > 0 or keep then
    redis.call('HSET', ledger, 'state', 'fenced:' .. table.concat(tally, ':') .. ' ' .. before ..
      (f + failed) .. ' ' .. (r + requeued))
  elseif try('RPUSH', recoveries, ARGV[2] .. string.format(
    ',"requeued":%d,"failed":%d,"poison":%d}', tally[1], tally[2], tally[3])) then
    redis.call('LTRIM', recoveries, -ARGV[3], -1)
    redis.call('EXPIRE', recoveries, ARGV[4])
  end
end
if left > 0 or keep then return {requeued, failed, left, failed_slots, refusals} end
redis.call('DEL', ledger)
forget()
return {requeued, failed, 0, failed_slots, refusals}
