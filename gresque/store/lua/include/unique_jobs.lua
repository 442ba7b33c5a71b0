-- The places of the jobs of this call, and of the jobs in `later` that it changes, by id. A place
-- is a list and an index in it; for a job that waits for its time also the beginning of its entry,
-- and where its time is stored.
local head = #queue .. ':' .. queue
local ids, entries, dues, at_once, changed, changed_dues = {}, {}, {}, {}, {}, {}
places = {}
local function add(id, raw, due)
  if due <= now then
    at_once[#at_once + 1] = raw
    places[id] = {at_once, #at_once, ''}
  else
    ids[#ids + 1] = id
    local n = 2 * #ids
    entries[n - 1], entries[n], dues[n - 1], dues[n] = id, head .. raw, due, id
    places[id] = {entries, n, head, dues, n - 1}
  end
end
local function refuse(reply, key)
  failure = failure or refused(reply, key)
  return not failure and reply
end
local function place_of(id) -- of a job of this call, or one in `later`
  if places[id] then return places[id] end
  local entry = refuse(pcall('HGET', jobs, id), jobs)
  local length = entry and string.match(entry, '^%d+')
  if not length then return nil end
  local due = refuse(pcall('ZSCORE', later, id), later)
  local n = #changed + 2
  changed[n - 1], changed[n] = id, entry
  changed_dues[n - 1], changed_dues[n] = tonumber(due or now), id
  places[id] = {changed, n, string.sub(entry, 1, #length + 1 + length), changed_dues, n - 1}
  return places[id]
end
-- A payload under the id of the job that does the work, and with the time at which that is due.
local function under(id, own_id, raw, own_due, due)
  local at = string.find(raw, own_id, 1, true)
  local rest, moved = string.sub(raw, at + #own_id), (due - own_due) / 1000
  rest = string.gsub(rest, '"run_at":[%d.]+', string.format('"run_at":%.3f', due / 1000), 1)
  rest = string.gsub(rest, '"expires_at":([%d.]+)}$', function(time)
    return string.format('"expires_at":%.3f}', time + moved)
  end)
  return string.sub(raw, 1, at - 1) .. id .. rest
end
-- Change the payload of a job that waits here or in `later`, and its time where one is given; false
-- where it stands elsewhere.
local function rewrite(id, own_id, raw, own_due, due)
  local place = place_of(id)
  if not place then return false end
  local list, n, beginning, times, m = unpack(place)
  if times and due then times[m] = due end
  list[n] = beginning .. under(id, own_id, raw, own_due, times and times[m] or now)
  return true
end
