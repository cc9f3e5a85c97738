"""An issuer in the hand: keys, a JWKS that a mock answers with, and tokens as good or as bad as a test wants."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import respx
from joserfc import jwk, jws

from video_oauth_auth import AuthorizationServer, Token
from video_oauth_auth.budget import Budget
from video_oauth_auth.login.id_token import IDTokens
from video_oauth_auth.transport import Via

URL = "https://login.example.com/realms/tv"
JWKS_URI = f"{URL}/keys"
CLIENT = "the-client"
SUBJECT = "an-invented-person"
ACCESS_TOKEN = "an-invented-access-token"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEFT_OUT = object()  # as a claim's value: the claim is not there

RSA, OTHER_RSA = (jwk.RSAKey.generate_key(2048) for _ in range(2))
CURVES = {
    "ES256": jwk.ECKey.generate_key("P-256"),
    "ES384": jwk.ECKey.generate_key("P-384"),
    "ES512": jwk.ECKey.generate_key("P-521"),
    "EdDSA": jwk.OKPKey.generate_key("Ed25519"),
}
CURVES["Ed25519"] = CURVES["EdDSA"]


def key_for(alg: str) -> Any:
    return CURVES.get(alg, RSA)


def public(key: Any, **members: Any) -> dict[str, Any]:
    """The public JWK of a key, with these members besides."""
    return {**{name: value for name, value in key.as_dict(private=False).items() if name != "kid"}, **members}


def segment(value: Mapping[str, Any] | bytes) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: Mapping[str, Any] | bytes, header: Mapping[str, Any] | bytes, key: Any, alg: str) -> str:
    """A JWS with exactly this header and payload, whatever they are, and a signature that is right for them."""
    what = f"{segment(header)}.{segment(claims)}"
    return f"{what}.{segment(jws.JWSRegistry.algorithms[alg].sign(what.encode(), key))}"


@dataclass(frozen=True)
class FromNow:
    """A moment that many seconds from when the claims are made."""

    seconds: float


def good_claims(**changes: Any) -> dict[str, Any]:
    """Claims that pass every check, but for these changes."""
    moment = int(time.time())
    claims = {"iss": URL, "aud": CLIENT, "sub": SUBJECT, "iat": moment, "exp": moment + 300} | changes
    now = time.time()
    return {
        name: now + value.seconds if isinstance(value, FromNow) else value
        for name, value in claims.items()
        if value is not LEFT_OUT
    }


def id_token(*, alg: str = "RS256", key: Any = None, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A good ID token, but for these changes of its claims."""
    return signed(good_claims(**changes), {"alg": alg, **(header or {})}, key or key_for(alg), alg)


class Issuer:
    """Publishes keys at `JWKS_URI`, and checks tokens as a source does.

    Attributes:
        keys: what the set holds.
        headers: of its answers.
        answer: given instead of the set, if there is one.
        id_tokens: what is tested.
    """

    def __init__(self, mock: respx.MockRouter, *keys: dict[str, Any]) -> None:
        self.keys: Any = list(keys)
        self.headers: dict[str, str] = {}
        self.answer: httpx.Response | None = None
        self.id_tokens = IDTokens()
        self._route = mock.get(JWKS_URI).mock(side_effect=self._respond)

    def _respond(self, _request: httpx.Request) -> httpx.Response:
        return self.answer or httpx.Response(200, json={"keys": self.keys}, headers=self.headers)

    @property
    def fetches(self) -> int:
        return self._route.call_count

    def claims(self, text: str | None, **keywords: Any) -> Mapping[str, Any] | None:
        """Check an ID token; `server`, `nonce`, `first`, `budget` as `IDTokens.claims` takes them."""
        settings: dict[str, Any] = {"server": server(), "client_id": CLIENT, "budget": Budget(10)} | keywords
        return self.id_tokens.claims(Token(access_token=ACCESS_TOKEN, id_token=text), via=Via("httpx"), **settings)


def server(**members: Any) -> AuthorizationServer:
    return AuthorizationServer(**{"issuer": URL, "jwks_uri": JWKS_URI} | members)
