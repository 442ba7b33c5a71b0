local function add_to(counter, queue, by) -- no field is left where nothing is in flight
  local left = pcall('HINCRBY', counter, queue, by)
  if note('count', left, 'HINCRBY', counter) or left > 0 then return end
  pcall('HDEL', counter, queue)
  if left < 0 then note('below', {err = queue .. ' fell to ' .. left}, 'HINCRBY', counter) end
end
