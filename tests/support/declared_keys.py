"""Scripts that fail when they touch a key that the caller did not declare.

Redis Cluster routes a script by its KEYS, and Dragonfly and ElastiCache Serverless lock them: each
refuses a script that touches any other key. A single server does not, so a test has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gresque.connection import scripts

MOST_ARGUMENTS = 3_900
"""KEYS and ARGV of one call. ElastiCache Serverless refuses more than 3,999."""

# One line, so that the line numbers in errors stay right. `redis.pcall` is replaced too: a script
# must not swallow what this raises.
_PREFIX = " ".join(
    line.strip()
    for line in """
local redis = (function(redis)
  local declared, first, all, none = {}, {}, {}, {}
  for _, key in ipairs(KEYS) do declared[key] = true end
  for name in string.gmatch('@FIRST@', '%S+') do first[name] = true end
  for name in string.gmatch('@ALL@', '%S+') do all[name] = true end
  for name in string.gmatch('@NONE@', '%S+') do none[name] = true end
  local function check(name, key)
    if not declared[tostring(key)] then
      error('UNDECLARED ' .. name .. ' ' .. tostring(key), 0)
    end
  end
  local function checked(call)
    return function(command, ...)
      local name = string.upper(command)
      if all[name] then
        for _, key in ipairs({...}) do check(name, key) end
      elseif first[name] then
        check(name, (...))
      elseif name == 'LMOVE' then
        check(name, (...))
        check(name, (select(2, ...)))
      elseif not none[name] then
        error('UNDECLARED what keys ' .. name .. ' has is not known to declared_keys.py', 0)
      end
      return call(command, ...)
    end
  end
  if #KEYS + #ARGV > @MOST@ then
    error('UNDECLARED ' .. #KEYS + #ARGV .. ' arguments, above @MOST@', 0)
  end
  local mine = {call = checked(redis.call), pcall = checked(redis.pcall)}
  return setmetatable(mine, {__index = redis})
end)(redis)
""".strip().splitlines()
)

_FIRST = """
    APPEND DECR DECRBY EXPIRE EXPIREAT GET GETDEL GETEX GETSET HDEL HEXISTS HGET HGETALL HINCRBY
    HINCRBYFLOAT HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HVALS INCR INCRBY INCRBYFLOAT
    LINDEX LINSERT LLEN LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM PERSIST PEXPIRE PEXPIREAT
    PSETEX PTTL RPOP RPUSH RPUSHX SADD SCARD SET SETEX SETNX SETRANGE SISMEMBER SMEMBERS SMISMEMBER
    SPOP SRANDMEMBER SREM SSCAN STRLEN TTL TYPE XADD XLEN XRANGE XREVRANGE
    XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZMSCORE ZPOPMAX ZPOPMIN
    ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE
    ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
"""
_ALL = "DEL EXISTS MGET SDIFF SINTER SUNION TOUCH UNLINK"
_NONE = "ECHO PING PUBLISH TIME"


def checked(text: str) -> str:
    """A script's text that also checks each key that it touches."""
    prefix = _PREFIX.replace("@MOST@", str(MOST_ARGUMENTS))
    for mark, names in (("@FIRST@", _FIRST), ("@ALL@", _ALL), ("@NONE@", _NONE)):
        prefix = prefix.replace(mark, " ".join(names.split()))
    return f"{prefix} {text}"


@contextmanager
def keys_are_checked() -> Iterator[None]:
    """Within it, every script of this process checks its keys."""
    join: Callable[[str], str] = scripts.join

    def joined(name: str) -> str:
        text = join(name)
        return text if name.startswith("include/") else checked(text)

    scripts.join = joined
    scripts.script.cache_clear()
    try:
        yield
    finally:
        scripts.join = join
        scripts.script.cache_clear()
