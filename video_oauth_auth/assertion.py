"""Client assertions (RFC 7523, section 2.2): a client proves who it is with a signature instead of its secret.

Signed by joserfc, with a fresh `jti` each time: an assertion is never sent twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from .errors import ConfigurationError, cleaned

__all__ = ["ASSERTION_TYPE", "PrivateKey", "checked_key", "signed_assertion"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 60  # seconds; a server needs it for this one call

PrivateKey = str | Mapping[str, Any]

# What a key of this kind can sign with, in the order of preference where the server does not say.
_ALGORITHMS = {
    "RSA": ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "oct": ("HS256", "HS384", "HS512"),
}


def checked_key(private_key: object) -> PrivateKey:
    """Give a private key back if assertions can be signed with it.

    Args:
        private_key: PEM text (PKCS 8 or the traditional forms, not encrypted), or a JWK as a mapping.

    Raises:
        ConfigurationError: it is none, or a public or symmetric one.
    """
    if not isinstance(private_key, str | Mapping):
        raise ConfigurationError(f"private_key is PEM text or a JWK mapping, not {type(private_key).__name__}")
    _algorithm(_asymmetric(private_key), None)
    return private_key


def signed_assertion(
    *, client_id: str, audience: str, key: PrivateKey | None, secret: str | None, supported: tuple[str, ...] | None
) -> str:
    """Sign one assertion.

    Args:
        client_id: who signs.
        audience: the issuer, or the token endpoint where no issuer is known.
        key: the private key, for `private_key_jwt`.
        secret: the client secret, for `client_secret_jwt`.
        supported: the algorithms that the server names; None where it does not say.

    Raises:
        ConfigurationError: the server supports none that this key can do.
    """
    from joserfc import jws, jwt

    class Registry(jws.JWSRegistry):
        """Gives the one algorithm that was chosen, without a warning that EdDSA has a newer name (RFC 9864)."""

        def get_alg(self, name: str) -> Any:
            return self.algorithms[name]

    signer = _symmetric(secret or "") if key is None else _asymmetric(key)
    header = {"alg": _algorithm(signer, supported), "typ": "JWT"}
    if signer.kid:
        header["kid"] = signer.kid
    issued_at = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }
    return jwt.encode(header, claims, signer, registry=Registry())


def _algorithm(signer: Any, supported: tuple[str, ...] | None) -> str:
    wanted = signer.dict_value.get("alg")
    kind = getattr(signer, "curve_name", None) or signer.key_type
    possible = (wanted,) if wanted else _ALGORITHMS.get(kind, ())
    for algorithm in possible:
        if supported is None or algorithm in supported:
            return str(algorithm)
    raise ConfigurationError(
        f"a private_key of kind {kind} can sign with {', '.join(possible) or 'nothing that is known here'}"
        + ("" if supported is None else f"; the server supports {cleaned(', '.join(supported))}")
    )


def _asymmetric(key: PrivateKey) -> Any:
    from joserfc import jwk
    from joserfc.errors import InvalidKeyTypeError

    failure = "it is a public or symmetric key"
    import_key: Any = jwk.import_key
    data, kinds = (key, ("RSA", "EC", "OKP")) if isinstance(key, str) else (dict(key), (key.get("kty"),))
    for kind in kinds if kinds != ("oct",) else ():
        try:
            signer = import_key(data, kind)
        except InvalidKeyTypeError:
            continue
        except Exception as error:  # noqa: BLE001 - joserfc and cryptography have many; their texts may hold the key
            failure = type(error).__name__
            if isinstance(data, str) and "\\n" in data:
                failure = r"it has line breaks as the two characters \n: replace them, key.replace('\\n', '\n')"
            break
        if signer.is_private:
            return signer
    raise ConfigurationError(f"private_key cannot be used for signing: {failure}")


def _symmetric(secret: str) -> Any:
    from joserfc import jwk

    return jwk.OctKey.import_key(secret)
