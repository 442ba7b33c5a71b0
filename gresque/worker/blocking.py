"""Libraries that block a whole worker process, and what to do instead.

gevent makes waiting in Python cooperative. A library that waits in C is beyond it: while one job
waits there, every other job of its process stands still.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator

REMEDIES = {
    "psycopg2": "install psycogreen and call psycogreen.gevent.patch_psycopg(), or use psycopg 3",
    "MySQLdb": "use PyMySQL instead of mysqlclient",
    "pymssql": "give pymssql.set_wait_callback a function that waits with gevent.socket",
    "pyodbc": "run its calls in gevent.get_hub().threadpool",
    "cx_Oracle": "use oracledb in its thin mode",
    "oracledb": "do not call init_oracle_client(): the thin mode waits in Python",
    "grpc": "call grpc.experimental.gevent.init_gevent(), and open channels in an after_fork hook",
    "confluent_kafka": "poll and flush with timeout 0, or use kafka-python",
    "rdkafka": "poll and flush with timeout 0, or use kafka-python",
    "pycurl": "use requests, httpx or urllib3",
    "pylibmc": "use pymemcache",
    "ldap": "use ldap3 instead of python-ldap",
    "zmq": "import zmq.green in its place",
    "aerospike": "run its calls in gevent.get_hub().threadpool",
    "ibm_db": "run its calls in gevent.get_hub().threadpool",
}
"""Top module -> the remedy."""


def blocking_libraries(job_modules: Iterable[str]) -> list[str]:
    """Those that are imported by now, or that the functions of these modules would import."""
    named = {name for module in job_modules for name in _imports(module)}
    return [
        library
        for library in REMEDIES
        if (library in sys.modules or (library in named and _is_installed(library)))
        and not _is_cured(library)
    ]


def _imports(module: str) -> Iterator[str]:
    """The top modules that a module imports anywhere, functions included."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return  # it has no source to read
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):
        return False


def _is_cured(library: str) -> bool:
    if library == "psycopg2":
        return "psycogreen.gevent" in sys.modules
    if library == "zmq":
        return "zmq.green" in sys.modules
    if library == "oracledb":
        thin = getattr(sys.modules.get(library), "is_thin_mode", None)
        return thin is None or bool(thin())
    return False
