-- Write down the states of the tracked jobs that are enqueued. `places` is there after a plan.
-- include track
local count = (#A - FIRST_JOB + 1) / 4
for n = 1, pushed == #words and count or on_duplicate == 'raise' and 0 or count do
  if words[n] == '+' then
    local place = places and places[A[FIRST_JOB + 4 * (n - 1)]]
    local due = place and place[4] and place[4][place[5]] or now
    track(K[FIRST_LOCK + count + n - 1], due > now and 'later' or 'queued', A[9], A[3],
      math.max(result_ms, due - now) + DAY_MS)
  end
end
