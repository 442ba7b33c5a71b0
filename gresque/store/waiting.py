"""Idle processes that wait for others to wake them (see `lua/hand_over.lua`)."""

HAND_OVER_CALLS = 4
"""Calls of hand_over.lua at most: the first one may have to ask for the wake keys to name, and
between two calls other processes may wake those that were named."""
