-- How many jobs may be taken from the list K[q], the flag of their entries, and whether its queue is
-- full: `room`, `flag`, `is_full`. `queue` is set where a policy says that: `took` follows.
queue = nil
if policy_of then
  local is_suspects = string.sub(K[q], 1, #suspects + 1) == suspects .. ':'
  local name = string.sub(K[q], (is_suspects and #suspects + 3 or #queues) + 1)
  if all_paused or policy_of[name] or own_cap_of and own_cap_of[q] then
    if not limit then
-- include limits
    end
    queue, room, flag, is_full = name, limit(q, name)
  end
end
