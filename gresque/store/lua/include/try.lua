-- `try` calls a command that may be refused (a key of another type, a missing right): it returns
-- nil then, and `refusals` holds the key and its error, once for each key.
local refusals, named = {}, {}
local function try(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not named[key] then
    refusals[#refusals + 1], refusals[#refusals + 2] = key, reply.err
    named[key] = true
  end
  return nil
end
