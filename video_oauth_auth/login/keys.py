"""The public keys of an issuer (RFC 7517): fetched when first needed, kept, and looked for again when they change.

Which keys may verify what is decided here; reading them and verifying is joserfc's work.
"""

from __future__ import annotations

import functools
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .. import forks
from ..budget import Budget, now
from ..documents import Kept, get, lifetime, read_object
from ..errors import InvalidResponseError, OAuthError, TransportError, cleaned
from ..transport import Via

__all__ = ["Keys", "PublicKey", "decoded", "read_keys"]

KEYS_AT_MOST = 100  # in one set
TRIED_AT_MOST = 5  # for one signature
LEAST_BITS = 2048  # of an RSA key (RFC 7518, section 3.3)
PAUSE = 60.0  # seconds from looking for newer keys until that may be done again
MOST_BYTES = 64 * 1024  # of what is signed, and of its header

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may verify signatures.

    Attributes:
        kid: its name in the set, or None.
        algorithms: what it may verify.
        key: joserfc's own object for it.
    """

    kid: object
    algorithms: frozenset[str]
    key: Any = field(repr=False)


_Fetched = tuple[tuple[PublicKey, ...], float]  # and the seconds that they may be kept


class Keys:
    """Keeps the keys of one issuer, as long as its server says.

    Where no key fits a signature, they are fetched again: once, and then not for a minute, whatever is presented.
    """

    __slots__ = ("_failure", "_kept", "_lock", "_next_look_at", "_place")

    def __init__(self) -> None:
        self._lock = forks.ForkSafeLock()  # guards all below
        self._place = ("", "")
        self._forget()

    def _forget(self) -> None:
        self._kept: Kept[tuple[PublicKey, ...]] = Kept()
        self._next_look_at = 0.0
        self._failure: OAuthError | None = None

    def verified(
        self, token: str, *, alg: str, kid: str | None, issuer: str, jwks_uri: str, via: Via, budget: Budget
    ) -> bytes:
        """Verify a signature with the issuer's keys, and give what was signed.

        Args:
            token: a JWS in the compact form.
            alg: the algorithm in its header, which the caller has found to be allowed.
            kid: the name of the key in its header, if there is one.
            issuer: whose keys.
            jwks_uri: where they are.
            via: the library that fetches them.
            budget: the time that it may take.

        Raises:
            TransportError: the keys cannot be fetched.
            InvalidResponseError: none of them verifies it, or what is there is no key set.
        """
        with self._locked(jwks_uri, budget):
            payload = _payload(token, alg, kid, self._present(issuer, jwks_uri, via, budget))
            if payload is None and self._may_look_again():
                payload = _payload(token, alg, kid, self._look_again(jwks_uri, via, budget))
        if payload is None:
            named = "" if kid is None else f" and is named {cleaned(kid, limit=60)!r}"
            raise InvalidResponseError(
                f"the ID token's signature was not verified: no key of {jwks_uri} that may be used for {alg}{named} "
                f"fits it. Keys for encryption, for other algorithms, and RSA keys under {LEAST_BITS} bits are not used"
            )
        return payload

    def fetch(self, *, issuer: str, jwks_uri: str, via: Via, budget: Budget) -> None:
        """Fetch the keys, if they are not known; arguments and errors as for `verified`."""
        with self._locked(jwks_uri, budget):
            self._present(issuer, jwks_uri, via, budget)

    def _present(self, issuer: str, jwks_uri: str, via: Via, budget: Budget) -> tuple[PublicKey, ...]:
        if self._place != (issuer, jwks_uri):
            self._forget()
            self._place = (issuer, jwks_uri)
        return self._kept.current(lambda budget: _fetched(jwks_uri, via, budget), budget)

    def _may_look_again(self) -> bool:
        """Tell whether it is not too early; where the last look failed, it fails again in the meantime."""
        if now() >= self._next_look_at:
            return True
        if self._failure is not None:
            raise self._failure.copied()
        return False

    def _look_again(self, jwks_uri: str, via: Via, budget: Budget) -> tuple[PublicKey, ...]:
        self._next_look_at, self._failure = now() + PAUSE, None
        try:
            return self._kept.renewed(lambda budget: _fetched(jwks_uri, via, budget), budget)
        except OAuthError as error:
            self._failure = error.copied()
            raise

    @contextmanager
    def _locked(self, jwks_uri: str, budget: Budget) -> Iterator[None]:
        lock = self._lock.here()
        if not lock.acquire(timeout=max(budget.remaining(), 0.0)):
            raise TransportError(f"others were fetching {jwks_uri} for {budget.spent():.0f} s", sent=False)
        try:
            yield
        finally:
            lock.release()


def _fetched(jwks_uri: str, via: Via, budget: Budget) -> _Fetched:
    response = get(jwks_uri, via, budget)
    if response.status != 200:
        raise InvalidResponseError(f"{jwks_uri} answered {response.status}, no key set", status=response.status)
    return read_keys(read_object(response, jwks_uri).get("keys"), jwks_uri), lifetime(response.headers)


def read_keys(members: object, jwks_uri: str) -> tuple[PublicKey, ...]:
    """Read the keys of a set; those that cannot verify signatures are left out (RFC 7517, section 5).

    Args:
        members: the member `keys` of the set.
        jwks_uri: where it comes from, for messages.

    Raises:
        InvalidResponseError: it is no list, or too long.
    """
    if not isinstance(members, list):
        raise InvalidResponseError(f"{jwks_uri} gave no key set: its member keys is no list")
    if len(members) > KEYS_AT_MOST:
        raise InvalidResponseError(f"{jwks_uri} gave {len(members)} keys; more than {KEYS_AT_MOST} are not looked at")
    return tuple(key for key in map(_public_key, members) if key is not None)


def _public_key(member: object) -> PublicKey | None:
    material, algorithms = _material(member)
    if not isinstance(member, dict) or not algorithms or not _is_for_signatures(member):
        return None
    wanted = member.get("alg")
    if wanted is not None:
        algorithms &= {wanted} if isinstance(wanted, str) else set()
    jwk, _ = _jose()
    try:
        # Only what makes the key: private parts or certificates have no business here and would be read too.
        key = jwk.import_key(material)
    except Exception:  # noqa: BLE001 - joserfc and cryptography have many for a key that is none
        return None
    return PublicKey(member.get("kid"), algorithms, key)


def _material(member: object) -> tuple[dict[str, str], frozenset[str]]:
    match member:
        case {"kty": "RSA", "n": str(n), "e": str(e)} if _bits(n) >= LEAST_BITS:
            return {"kty": "RSA", "n": n, "e": e}, _RSA
        case {"kty": "EC", "crv": str(crv), "x": str(x), "y": str(y)}:
            return {"kty": "EC", "crv": crv, "x": x, "y": y}, _CURVES.get(("EC", crv), frozenset())
        case {"kty": "OKP", "crv": str(crv), "x": str(x)}:
            return {"kty": "OKP", "crv": crv, "x": x}, _CURVES.get(("OKP", crv), frozenset())
    return {}, frozenset()


def _is_for_signatures(member: dict[str, Any]) -> bool:
    operations = member.get("key_ops", ["verify"])
    return member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _bits(modulus: str) -> int:
    try:
        return int.from_bytes(decoded(modulus)).bit_length()
    except ValueError:
        return 0


def decoded(text: str) -> bytes:
    """Decode base64url without padding (RFC 7515, section 2).

    Raises:
        ValueError: it is none.
    """
    return b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


# --- joserfc --------------------------------------------------------------------------------------------------------


def _payload(token: str, alg: str, kid: str | None, keys: tuple[PublicKey, ...]) -> bytes | None:
    """Give what was signed, if one of the keys that fit verifies it."""
    fitting = [one.key for one in keys if alg in one.algorithms and (kid is None or one.kid == kid)]
    _, jws = _jose()
    for key in fitting[:TRIED_AT_MOST]:
        try:
            payload: bytes = jws.deserialize_compact(token, key, registry=_registry(alg)).payload
        except Exception:  # noqa: BLE001, S112 - whatever is wrong with it, it is not verified
            continue
        return payload
    return None


@functools.cache
def _registry(alg: str) -> Any:
    """Give joserfc's settings for one algorithm."""
    _, jws = _jose()

    class Registry(jws.JWSRegistry):  # type: ignore[misc, name-defined]  # imported when needed
        """Allows this algorithm only, without a warning that EdDSA has a newer name (RFC 9864)."""

        max_header_length = max_payload_length = max_signature_length = MOST_BYTES

        def get_alg(self, name: str) -> Any:
            return self.algorithms[name] if name == alg else super().get_alg(name)

    return Registry(algorithms=[alg], strict_check_header=False)  # unknown parameters are to be ignored


@functools.cache
def _jose() -> tuple[Any, Any]:
    """Import joserfc, once and while no fork can happen."""
    with forks.held_off:
        from joserfc import jwk, jws
    return jwk, jws
