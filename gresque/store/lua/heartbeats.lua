-- What a judge has to know, at one moment: the heartbeat of every worker process, and the workers.
--
-- A key of another type counts as empty and is named.
--
-- KEYS  1 ledgers (ZSET)   2 masters (HASH)
-- Returns  {{process, score, …}, {worker, …}, {key, its error, …}}
local ledgers, masters = KEYS[1], KEYS[2]
-- include try
local guarded = ledgers
-- include guard
return {try('ZRANGE', ledgers, 0, -1, 'WITHSCORES') or {}, try('HKEYS', masters) or {}, refusals}
