-- Add counts to the fields of a hash: `field count field count …`. Once it has `most` fields (0: any
-- number), further ones count together, for `*`. Each count of a new field is answered as it is:
-- nothing has to be read, which would be announced.
local function add_sums(hash, kept, sums, most)
  for name, count in string.gmatch(sums, '(%S+) (%-?%d+)') do
    local now = pcall('HINCRBY', hash, name, count)
    local refusal = note('count', now, 'HINCRBY', hash)
    if refusal then return refusal end
    if most > 0 and now == tonumber(count) and pcall('HINCRBY', hash, '#', 1) > most then
      call('HDEL', hash, name)
      call('HINCRBY', hash, '#', -1)
      call('HINCRBY', hash, (string.gsub(name, '|[^|]*', '|*')), count)
    end
  end
  call('EXPIRE', hash, kept)
end
