"""The key with which a server signs the tokens that are JWTs, made when it is first needed."""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

ALGORITHM = "RS256"
BITS = 2048


class SigningKey:
    """An RSA key of a server's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the making of the key
        self._key: Any = None

    def __repr__(self) -> str:
        return "<the key of a test server>"

    def sign(self, claims: Mapping[str, object], *, lifetime: float | None) -> str:
        """A JWT with these claims, `iat`, `jti` and (for a lifetime in seconds) `exp`; no two are the same.

        A claim that is None is left out.
        """
        from joserfc import jwt

        now = int(time.time())
        times = {"iat": now} if lifetime is None else {"iat": now, "exp": now + int(lifetime)}
        key = self._made()
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}
        told = {
            name: value for name, value in {**times, "jti": f"{uuid.uuid4()}", **claims}.items() if value is not None
        }
        return jwt.encode(header, told, key, algorithms=[ALGORITHM])

    def claims_of(self, token: str) -> dict[str, Any] | None:
        """What a JWT says that was signed with this key, expired or not; None if it was not."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            return jwt.decode(token, self._made(), algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None

    def rotate(self) -> None:
        """Sign with another key from now on, and know the old one no more."""
        with self._lock:
            self._key = None

    def jwks(self) -> dict[str, object]:
        """The public key as a JWK set."""
        return {"keys": [{**self._made().as_dict(private=False), "use": "sig", "alg": ALGORITHM}]}

    def _made(self) -> Any:
        from joserfc import jwk

        with self._lock:
            if self._key is None:
                self._key = jwk.RSAKey.generate_key(BITS, auto_kid=True)
            return self._key
