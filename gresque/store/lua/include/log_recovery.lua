-- The totals stay true, and so does what the log will say, should the recovery be cut off and begun
-- again by another process: `fenced:<requeued>:<failed>:<poison>:<retried> <sequence> <totals>`.
local state = redis.call('HGET', ledger, 'state')
local left = redis.call('HLEN', ledger)
local keep = state and ARGV[2] == ''
if state then
  left = left - 1
  local tally, before, f, q, r =
    string.match(state, '^fenced(%S*) (%d%S* %d+ %d+ )(%d+) (%d+) (%d+)$')
  if not tally then tally, before, f, q, r = '', '0 0 0 ', 0, 0, 0 end
  local requeued0, failed0, poison0, retried0 = string.match(tally, '^:(%d+):(%d+):(%d+):(%d+)$')
  tally = {requeued + (requeued0 or 0), failed + (failed0 or 0), poison + (poison0 or 0),
    retried + (retried0 or 0)}
  if left > 0 or keep then
    redis.call('HSET', ledger, 'state', 'fenced:' .. table.concat(tally, ':') .. ' ' .. before ..
      (f + failed) .. ' ' .. (q + requeued) .. ' ' .. (r + retried))
  elseif try('RPUSH', recoveries, ARGV[2] .. string.format(
    ',"requeued":%d,"failed":%d,"poison":%d,"retried":%d}', unpack(tally))) then
    redis.call('LTRIM', recoveries, -ARGV[3], -1)
    redis.call('EXPIRE', recoveries, ARGV[4])
  end
end
local counted = {requeued, failed, left, failed_slots, refusals, retried}
if left > 0 or keep then return counted end
redis.call('DEL', ledger)
forget()
return counted
