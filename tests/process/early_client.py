"""A job module that uses the client while it is imported, and configures it in its own way."""

import gresque

assert gresque.size("q") == 1
gresque.configure("redis://127.0.0.1:1/0", "elsewhere")
assert gresque.size("q") == 1


@gresque.job(queue="q", name="Passes")
def passes_on() -> None:
    passed_on.enqueue()


@gresque.job(queue="next", name="Passed")
def passed_on() -> None: ...
