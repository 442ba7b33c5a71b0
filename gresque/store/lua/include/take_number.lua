-- The push gets its number in its slot, before anything else: a replica, a primary without its
-- replicas, and a server that is full refuse this write, and with it the script, before it forms an
-- answer. (Not HDEL: a script that began with what a full server allows may go on to push.) A push that
-- was done before writes as well, and WAIT covers only what its own connection wrote.
local number, last = tonumber(A[2]), call('HINCRBY', producer, A[1], 1) - 1
if last >= number then
  call('HINCRBY', producer, A[1], -1)
  return 0
elseif last < number - 1 then -- pushes before it never arrived, or the server has forgotten them
  call('HINCRBY', producer, A[1], number - 1 - last)
end
if last == 0 or A[5] == '1' then call('EXPIRE', producer, A[4]) end
