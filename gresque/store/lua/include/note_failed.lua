-- Note what a script did to a failed list of `length` entries, for programs that keep an index of it:
-- it marked some, then dropped some, then moved what is left of the `turned` oldest to the end. The
-- entries are named by their indexes at the beginning of the script, in one text.
local function note_failed(changes, list, length, marked, dropped, turned)
  redis.pcall('XADD', changes, 'MAXLEN', '~', 1000, '*', 'list', list, 'length', length,
    'marked', marked, 'dropped', dropped, 'turned', turned)
end
