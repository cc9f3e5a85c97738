"""Client assertions (RFC 7523): a client that proves who it is by a signature, once with each `jti`."""

from collections.abc import Callable, Collection
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError

from .minting import Form
from .settings import KEY_JWT, SECRET_JWT, Settings

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LEEWAY = 10  # seconds


class ClientAssertions:
    """Verifies assertions of the registered client, and remembers those it has accepted.

    Their times are compared with the real clock, not with that of the server: a test that moves that one on
    does not mean that the client's clock is wrong.

    Args:
        settings: The client, its secret and public key, and the algorithms.
        audiences: Whom an assertion may be for.
    """

    def __init__(self, settings: Settings, audiences: Callable[[], Collection[str]]) -> None:
        self._settings = settings
        self._audiences = audiences
        self._seen: set[str] = set()  # used by one token request at a time

    def signer(self, form: Form, method: str) -> str | None:
        """The id of the client that signed the assertion in this form; None if there is none by this method.

        Args:
            form: The parameters of the token request.
            method: `client_secret_jwt` or `private_key_jwt`.

        Raises:
            InvalidClientError: There is one, and it is wrong.
        """
        assertion = form.get("client_assertion")
        if assertion is None or form.get("client_assertion_type") != ASSERTION_TYPE:
            return None
        claims = self._claims(assertion, method)
        if claims is None:
            return None
        if form.get("client_id") not in (None, claims["sub"]):
            raise _refused("client_id names another client than the assertion.")
        if claims["jti"] in self._seen:
            raise _refused("The jti has been used before.")
        self._seen.add(claims["jti"])
        return str(claims["sub"])

    def _claims(self, assertion: str, method: str) -> dict[str, Any] | None:
        from joserfc import jws, jwt
        from joserfc.errors import JoseError

        try:
            algorithm = jws.extract_compact(assertion.encode()).headers()["alg"]
            key = self._key(method, symmetric=algorithm.startswith("HS"))
            if key is None:
                return None
            allowed = list(self._settings.token_endpoint_auth_signing_algs)
            claims = jwt.decode(assertion, key, algorithms=allowed).claims
            self._check(claims)
        except (JoseError, ValueError) as error:
            # What they say may show a piece of the assertion.
            raise _refused(f"The assertion is refused: {type(error).__name__}.") from None
        return claims

    def _key(self, method: str, *, symmetric: bool) -> Any:
        """The key for assertions by this method; None if they are not signed by this one's kind of algorithm."""
        from joserfc import jwk

        if symmetric:
            return jwk.OctKey.import_key(self._settings.client_secret) if method == SECRET_JWT else None
        public = self._settings.client_jwk
        return jwk.import_key(dict(public)) if public is not None and method == KEY_JWT else None

    def _check(self, claims: dict[str, Any]) -> None:
        from joserfc.errors import InvalidClaimError
        from joserfc.jwt import JWTClaimsRegistry

        JWTClaimsRegistry(
            leeway=LEEWAY,
            iss={"essential": True, "value": self._settings.client_id},
            sub={"essential": True, "value": self._settings.client_id},
            aud={"essential": True, "values": list(self._audiences())},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        ).validate(claims)
        if not isinstance(claims["jti"], str):
            raise InvalidClaimError("jti")


def _refused(description: str) -> InvalidClientError:
    return InvalidClientError(status_code=401, description=description)
