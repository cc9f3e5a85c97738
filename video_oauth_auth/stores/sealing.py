"""Text that only the holder of a key can read or make: AES-256-GCM (NIST SP 800-38D) by cryptography. No I/O.

A sealed text is `v1.`, the id of its key, a dot, and nonce and ciphertext in base64url. It names its key, so that
several keys can be in use; it belongs to the name that it was sealed for, and does not open under another one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from .. import forks
from ..errors import ConfigurationError

__all__ = ["Key", "get_ready", "key_id_of", "opened", "sealed"]

FORMAT = "v1"
KEY_BYTES = 32
NONCE_BYTES = 12  # random ones: one key is good for 2**32 texts (section 8.3)

_SEALED = re.compile(FORMAT + r"\.([0-9a-f]{16})\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        id: names it, without telling anything about it.
        secret: the key itself.
    """

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Key:
        """Make a random one."""
        return cls._of_bytes(os.urandom(KEY_BYTES))

    @classmethod
    def read(cls, given: object) -> Key | None:
        """Read a key: 32 bytes, or base64 of them (as text or bytes); None if it is something else."""
        if isinstance(given, bytes) and len(given) == KEY_BYTES:
            return cls._of_bytes(given)
        secret = _unquoted(given) if isinstance(given, str | bytes) else None
        return cls._of_bytes(secret) if secret is not None and len(secret) == KEY_BYTES else None

    @classmethod
    def _of_bytes(cls, secret: bytes) -> Key:
        return cls(hashlib.sha256(b"video-oauth-auth key id\0" + secret).hexdigest()[:16], secret)

    def text(self) -> str:
        """Write it down: 43 letters, digits, `-` and `_`."""
        return _quoted(self.secret)


def get_ready() -> None:
    """Import cryptography.

    Raises:
        ConfigurationError: it is not installed.
    """
    _aesgcm()


def sealed(key: Key, name: str, data: bytes) -> str:
    """Encrypt these bytes; they open only under the same name."""
    nonce = os.urandom(NONCE_BYTES)
    ciphertext: bytes = _aesgcm()(key.secret).encrypt(nonce, data, _bound_to(key.id, name))
    return f"{FORMAT}.{key.id}.{_quoted(nonce + ciphertext)}"


def key_id_of(text: str) -> str | None:
    """Give the id of the key that a text is sealed with; None if it is no sealed text of this format."""
    parts = _SEALED.fullmatch(text)
    return None if parts is None else parts[1]


def opened(key: Key, name: str, text: str) -> bytes | None:
    """Decrypt a sealed text; None if one bit of it, the key or the name is not what it was sealed with."""
    sealing = _unquoted(text.rpartition(".")[2])
    if sealing is None or key_id_of(text) != key.id:
        return None
    nonce, ciphertext = sealing[:NONCE_BYTES], sealing[NONCE_BYTES:]
    try:
        data: bytes = _aesgcm()(key.secret).decrypt(nonce, ciphertext, _bound_to(key.id, name))
    except Exception:  # noqa: BLE001 - InvalidTag, or ValueError for what is too short; its frames hold the key
        return None
    return data


def _bound_to(key_id: str, name: str) -> bytes:
    return json.dumps([FORMAT, key_id, name]).encode("ascii")


def _quoted(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unquoted(text: str | bytes) -> bytes | None:
    try:
        quoted = text.encode("ascii") if isinstance(text, str) else text
        quoted = quoted.strip().rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
        return b64decode(quoted + b"=" * (-len(quoted) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None


@functools.cache
def _aesgcm() -> Any:
    """Import cryptography, once and while no fork can happen."""
    try:
        with forks.held_off:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        pass
    else:
        return AESGCM
    raise ConfigurationError("EncryptedStore needs the library cryptography: pip install 'video-oauth-auth[encrypted]'")
