function apply.log(key, _, at, lines, id, logs) -- what a failed job has logged, for three days
  local refusal = note('count', pcall('SET', key, lines, 'EX', 259200), 'SET', key)
    or note('count', pcall('ZADD', logs, at, id), 'ZADD', logs)
  if not refusal then call('EXPIRE', logs, 259200) end
  return refusal
end
