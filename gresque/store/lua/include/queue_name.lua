local function queue_of(key) -- of a queue's list, or of one of its lists of suspects
  local is_suspects = string.sub(key, 1, #suspects + 1) == suspects .. ':'
  return string.sub(key, (is_suspects and #suspects + 3 or #queues) + 1)
end
