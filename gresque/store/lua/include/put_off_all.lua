-- include put_off
local function refused(done, key) -- nil where it is done
  return type(done) == 'table' and done.err and done.err .. ': ' .. key or nil
end
-- Jobs wait in `later`. `values` are names and entries, `scores` times and names, as HSET and ZADD
-- take them. Returns the names under which they wait, and the error, if any.
local function put_off_all(later, jobs, ids, values, scores)
  if #ids == 0 then return {}, nil end
  -- All at once where no other job has one of the ids, which is the rule: two thirds of the time.
  local known, taken = redis.pcall('HMGET', jobs, unpack(ids)), false
  local failure = refused(known, jobs)
  if failure then return {}, failure end
  for i, id in ipairs(ids) do
    taken = taken or known[i] or known[id]
    known[id] = true
  end
  if not taken then
    failure = refused(redis.pcall('HSET', jobs, unpack(values)), jobs)
      or refused(redis.pcall('ZADD', later, unpack(scores)), later)
    return ids, failure
  end
  local names = {}
  for i, id in ipairs(ids) do
    names[i], failure = put_off(later, jobs, id, scores[2 * i - 1], values[2 * i])
    if failure then break end
  end
  return names, failure
end
