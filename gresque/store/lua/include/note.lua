local function note(what, done, command, key) -- an error, once for each key; else nil
  if type(done) ~= 'table' or not done.err then return nil end
  if not notes then notes, noted = {}, {} end
  if not noted[key] then
    noted[key] = true
    for _, part in ipairs({what, command, key, done.err}) do notes[#notes + 1] = part end
  end
  return done
end
