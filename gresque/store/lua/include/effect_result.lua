-- The state of a tracked job, with what is known of it; it counts until `expiry` ms have passed.
function apply.result(hash, _, state, details, expiry)
  return note('count', pcall('HSET', hash, 's', state, 'd', details), 'HSET', hash)
    or note('count', pcall('PEXPIRE', hash, expiry), 'PEXPIRE', hash)
end
