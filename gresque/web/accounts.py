"""Who may use the dashboard: users with passwords, programs with tokens, the one-time link."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from threading import Lock
from time import monotonic

from gresque.errors import SettingsError

COST, BLOCK, LANES = 15, 8, 1
"""Of scrypt: 2 ** COST rounds over 32 MB, some 60 ms."""
MEMORY = 128 * 1024 * 1024
TRIES, TRIES_SECONDS = 5, 60.0
MOST_ADDRESSES = 10_000


class Role(IntEnum):
    """What a user may do. Each may do what those before it may."""

    READ = 1
    """See everything."""
    ACT = 2
    """Kill, retry, remove, move and run jobs; pause queues."""
    ADMIN = 3
    """Change limits, drain and recycle workers, empty whole lists."""

    @classmethod
    def named(cls, name: str) -> Role:
        """Raises SettingsError."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise SettingsError(f"{name!r} is no role; give read, act or admin") from None

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Account:
    """A user with a password, or a program with a token. `secret` is the hash of it."""

    name: str
    secret: str = field(repr=False)
    role: Role

    @property
    def mark(self) -> str:
        """It changes with the secret: a cookie of an old password is worth nothing."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:16]

    @property
    def is_token(self) -> bool:
        return self.secret.startswith("sha256$")

    @classmethod
    def parse(cls, line: str) -> Account:
        """`name:hash:role`. Raises SettingsError, which does not repeat the hash."""
        name, _, rest = line.partition(":")
        secret, _, role = rest.rpartition(":")
        if not name or not secret:
            raise SettingsError(
                f"the user {name!r} is not given as name:hash:role; see gresque web hash"
            )
        if not (name.isprintable() and _is_hash(secret)):
            raise SettingsError(
                f"the password of user {name!r} is no hash; gresque web hash prints one"
            )
        return cls(name, secret, Role.named(role))


def _is_hash(secret: str) -> bool:
    parts = secret.split("$")
    try:
        if parts[0] == "sha256":
            return len(bytes.fromhex(parts[1])) == 32 and len(parts) == 2
        numbers = [int(part) for part in parts[1:4]]
        salt, digest = (base64.urlsafe_b64decode(part) for part in parts[4:6])
    except (ValueError, IndexError):
        return False
    cost, block, lanes = numbers
    fits = 1 <= cost <= 20 and 1 <= block <= 32 and 1 <= lanes <= 16
    return parts[0] == "scrypt" and len(parts) == 6 and fits and bool(salt) and len(digest) == 32


def hash_password(password: str) -> str:
    """`scrypt$15$8$1$<salt>$<digest>`, as a user's entry holds it."""
    salt = secrets.token_bytes(16)
    return _scrypt(password, COST, BLOCK, LANES, salt)


def hash_token(token: str) -> str:
    """`sha256$<hex>`. A token is random: no slow hash is needed."""
    return f"sha256${hashlib.sha256(token.encode()).hexdigest()}"


def _scrypt(password: str, cost: int, block: int, lanes: int, salt: bytes) -> str:
    digest = hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt, n=2**cost, r=block, p=lanes, maxmem=MEMORY, dklen=32,
    )  # fmt: skip
    salt_text, digest_text = (base64.urlsafe_b64encode(each).decode() for each in (salt, digest))
    return f"scrypt${cost}${block}${lanes}${salt_text}${digest_text}"


def is_password(password: str, secret: str) -> bool:
    """Whether this password has that hash. It takes some 60 ms of CPU, without the GIL."""
    _, cost, block, lanes, salt, _ = secret.split("$")
    numbers = int(cost), int(block), int(lanes)
    made = _scrypt(password, *numbers, base64.urlsafe_b64decode(salt))
    return hmac.compare_digest(made, secret)


class Accounts:
    """All users and tokens, by name."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Raises SettingsError for a line that is wrong, and for a name that two have."""
        self._accounts: dict[str, Account] = {}
        for line in lines:
            account = Account.parse(line)
            if account.name in self._accounts:
                raise SettingsError(f"the user {account.name!r} is given twice")
            self._accounts[account.name] = account
        self._nobody = hash_password(secrets.token_urlsafe())

    def __bool__(self) -> bool:
        return bool(self._accounts)

    @property
    def has_passwords(self) -> bool:
        return any(not account.is_token for account in self._accounts.values())

    @property
    def key(self) -> bytes:
        """To sign cookies with: the same in every process that has these accounts, and as secret
        as they are."""
        secrets_of_all = "\n".join(account.secret for account in self._accounts.values())
        return hashlib.sha256(b"gresque cookie\n" + secrets_of_all.encode()).digest()

    def get(self, name: str) -> Account | None:
        return self._accounts.get(name)

    def check(
        self, name: str, password: str, run: Callable[..., bool] = lambda check, *a: check(*a)
    ) -> Account | None:
        """The account with this password. An unknown name takes as long as a wrong password. `run`
        calls a function that is slow, such as in a pool of threads."""
        account = self._accounts.get(name)
        if account is None or account.is_token:
            run(is_password, password, self._nobody)
            return None
        return account if run(is_password, password, account.secret) else None

    def by_token(self, token: str) -> Account | None:
        made = hash_token(token)
        for account in self._accounts.values():
            if account.is_token and hmac.compare_digest(made, account.secret):
                return account
        return None


class OneTimeLink:
    """A token that lets one browser in, and then is worth nothing; `new` makes the next one."""

    def __init__(self) -> None:
        self.token = ""
        self.on_use: Callable[[], object] = lambda: None

    def new(self) -> str:
        self.token = secrets.token_urlsafe(32)
        return self.token

    def use(self, token: str) -> bool:
        if not self.token or not hmac.compare_digest(token.encode(), self.token.encode()):
            return False
        self.new()
        self.on_use()
        return True


class Tries:
    """How often each address may try to sign in: 5 times a minute."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._times: dict[str, deque[float]] = {}

    def take(self, address: str) -> bool:
        """Note a try; False where there were too many."""
        now = self._clock()
        with self._lock:
            if len(self._times) >= MOST_ADDRESSES:
                self._forget(now)
            times = self._times.setdefault(address, deque(maxlen=TRIES))
            if len(times) == TRIES and now - times[0] < TRIES_SECONDS:
                return False
            times.append(now)
            return True

    def _forget(self, now: float) -> None:
        self._times = {
            address: times
            for address, times in self._times.items()
            if now - times[-1] < TRIES_SECONDS
        }
        while len(self._times) >= MOST_ADDRESSES:
            del self._times[next(iter(self._times))]
