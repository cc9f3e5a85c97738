"""Keys in the keyring of the operating system, by the library keyring.

Each key has an entry of its own, and one more entry holds a copy of the key that is used at present. Keyrings know no
transactions, so the entry of a key is written, and read back, before the key is used for anything. Whoever writes the
present one at the same time takes nothing away: each key that was ever used stays where its id leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from .. import forks
from ..errors import ConfigurationError, StoreError
from .sealing import Key

__all__ = ["SERVICE", "USER_NAME", "KeyringKeys"]

Result = TypeVar("Result")

# Each key has its own service: Windows files one entry under a service, and moves that away for another user name.
SERVICE = "video-oauth-auth"
USER_NAME = "store-key"

PATIENCE = 20.0  # seconds to wait while another thread asks the keyring

WAYS_OUT = (
    "Either unlock or install a keyring (gnome-keyring or KWallet on Linux; macOS and Windows have one), or keep a key "
    "in a secret manager and give it: EncryptedStore(inner, key=...), made once by EncryptedStore.new_key()"
)
KEEPS_NOTHING = f"the keyring does not keep what it is given. {WAYS_OUT}"

_NO_KEYRING = ("keyring.backends.fail.", "keyring.backends.null.")
_CHAINER = "keyring.backends.chainer."


class KeyringKeys:
    """The keys of this user on this machine; each is asked for once, so that a keyring may be locked later.

    Asking may block: some keyrings show a prompt and wait for the person. One thread waits for that as long as it
    takes; others give up after a while: an unanswered prompt must not take all workers.

    Raises:
        ConfigurationError: the library keyring is not installed.
    """

    __slots__ = ("_first", "_known", "_lock")

    place = "is not in the keyring of this user"

    def __init__(self) -> None:
        _library()
        self._lock = forks.ForkSafeLock()
        self._known: dict[str, Key] = {}
        self._first: Key | None = None

    def first(self) -> Key:
        """Give the key to encrypt with; makes one where there is none.

        Raises:
            StoreError: the keyring does not give or keep it.
        """
        with self._alone():
            return self._first or self._use(_read(SERVICE) or _make())

    def find(self, key_id: str) -> Key | None:
        """Give a key by its id; None if the keyring does not have it.

        Raises:
            StoreError: the keyring does not tell.
        """
        with self._alone():
            if self._first is None and (present := _read(SERVICE)) is not None:
                self._use(present)
            if key_id not in self._known and (key := _read(_service_of(key_id))) is not None:
                self._known[key.id] = key
            return self._known.get(key_id)

    def rotate(self) -> None:
        """Make a new first key.

        Raises:
            StoreError: the keyring does not keep it.
        """
        with self._alone():
            if (present := _read(SERVICE)) is not None:
                _keep(present)  # it has none if a person has put it there
            self._use(_make())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._lock.here()
        if not lock.acquire(timeout=PATIENCE):
            raise StoreError(f"the keyring has not answered yet; perhaps it shows a prompt at this machine. {WAYS_OUT}")
        try:
            yield
        finally:
            lock.release()

    def _use(self, key: Key) -> Key:
        self._known[key.id] = self._first = key
        return key


def _service_of(key_id: str) -> str:
    return f"{SERVICE} key {key_id}"


def _make() -> Key:
    """Make the key that is used from now on; where another process has made one at the same time, use that."""
    key = Key.new()
    _keep(key)
    _write(SERVICE, key)
    present = _read(SERVICE)
    if present is None:
        raise StoreError(KEEPS_NOTHING)
    return present


def _keep(key: Key) -> None:
    """See to it that a key has its own entry."""
    service = _service_of(key.id)
    if _read(service) == key:
        return
    _write(service, key)
    if _read(service) != key:
        raise StoreError(KEEPS_NOTHING)


def _read(service: str) -> Key | None:
    key, is_there = _found(service)
    if is_there and key is None:
        raise StoreError(
            f"the entry {service!r} ({USER_NAME}) of the keyring holds no key. Delete it there if nothing else needs "
            f"it: then a new key is made where one is needed, and others stay as they are"
        )
    return key


def _found(service: str) -> tuple[Key | None, bool]:
    """Give the key that the first keyring which has this entry holds, and whether one has it."""
    for ring in _rings():
        text = _asked(ring, partial(ring.get_password, service, USER_NAME))
        if text is not None:
            return Key.read(text), True
    return None, False


def _write(service: str, key: Key) -> None:
    ring = _rings()[0]
    _asked(ring, lambda: ring.set_password(service, USER_NAME, key.text()))


# --- keyring --------------------------------------------------------------------------------------------------------


def _rings() -> list[Any]:
    """Give the keyrings to use, the best one first.

    Raises:
        StoreError: there is none that keeps a secret.
    """
    ring = _asked(None, lambda: _library().get_keyring())
    chained = _is_one_of(ring, (_CHAINER,))
    rings = _asked(ring, lambda: list(ring.backends)) if chained else [ring]
    safe = [one for one in rings if not _is_unsafe(one)]
    if not safe:
        raise StoreError(f"no keyring of this system can keep a secret (found: {_name(ring)}). {WAYS_OUT}")
    return safe


def _asked(ring: Any, ask: Callable[[], Result]) -> Result:
    """Ask the keyring; whatever it raises may hold what was to be written."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - keyrings raise what their systems do
        kind = type(error).__name__
    what = "is locked" if kind == "KeyringLocked" else f"could not be used ({kind})"
    raise StoreError(f"the keyring{f' {_name(ring)}' if ring is not None else ''} {what}. {WAYS_OUT}")


def _is_unsafe(ring: Any) -> bool:
    """Tell whether it keeps nothing, or keeps it for everybody to read (keyrings.alt has some of that kind)."""
    return _is_one_of(ring, _NO_KEYRING) or any("plaintext" in kind.__name__.lower() for kind in type(ring).__mro__)


def _is_one_of(ring: Any, modules: tuple[str, ...]) -> bool:
    return any(f"{kind.__module__}.".startswith(modules) for kind in type(ring).__mro__)


def _name(ring: Any) -> str:
    return f"{type(ring).__module__}.{type(ring).__qualname__}"


def _library() -> Any:
    """Import keyring, while no fork can happen."""
    try:
        with forks.held_off:
            import keyring
    except ImportError:
        pass
    else:
        return keyring
    raise ConfigurationError(
        "EncryptedStore without key= needs the library keyring: pip install 'video-oauth-auth[encrypted]'"
    )
