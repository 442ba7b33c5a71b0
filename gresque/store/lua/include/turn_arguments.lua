local ledger, processed_stat, failed_stat = KEYS[1], KEYS[2], KEYS[3]
local own_processed, own_failed, own_retried = KEYS[4], KEYS[5], KEYS[10]
local queues, failed_queues, suspects, retried_stat = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local K, A, call, pcall, guarded = KEYS, ARGV, redis.call, redis.pcall, ledger
local POLICIES, FIRST_LIST, FIRST_EFFECT, CHUNK = 11, 16, 17, 4000 -- one unpack takes some 8,000
local want, effects, ended = tonumber(A[2]), tonumber(A[13]), tonumber(A[14])
local last_list, slots = FIRST_LIST - 1 + A[12], FIRST_EFFECT - 1 + 6 * effects
local S, base = A, slots -- the slots that can be filled are S[base + 1], …
local done, failed, requeued, retried = A[5], A[6], A[7], A[8]
local processed, failures, retries = tonumber(A[9]), tonumber(A[10]), tonumber(A[11])
local refused, notes, noted -- made when there is something to put in
local out, o, reserved = {}, 0, 0
local limit, took, marks, paused, blocked, wait, freed, first_freed, is_idle -- set where policies apply
