-- The jobs in the slots `kept` stay there: the others can be filled.
S, base = {}, 0
for i = slots + 1, #A do
  if not kept[A[i]] then
    S[#S + 1] = A[i]
  elseif i <= slots + tonumber(A[14]) then
    ended = ended - 1
  end
end
want = math.min(want, #S)
