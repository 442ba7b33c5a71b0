"""What is compared: gresque and its peers, each a module here with its settings and their reasons.

A peer's module runs only in the peer's own virtual environment, whose packages `<peer>.txt` lists.
It has

- `MANY_QUEUES`: whether one worker can serve twenty queues,
- `JOBS_PER_SECOND`: about how many no-op jobs it does; it sizes the runs, nothing else,
- `workers(processes, threads, waits)`: the commands that start it, from its own documentation;
  `waits` tells that the jobs will,
- `enqueue(job, arguments, queue)`: as its documentation enqueues many; may be a coroutine,
- `client()`: optional; an async context in which `enqueue` works.

The jobs are the same for all: `body.py`, in plain blocking code, and as coroutines where the peer
wants those. Standard library only, but for the HTTP clients.
"""
