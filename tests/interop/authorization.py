"""An authorization request and what follows, made by hand: shows what the servers do, without the auth objects."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A request for a code with PKCE by S256 (RFC 7636), by a client without a secret or with one in the body."""

    authorization_endpoint: str
    token_endpoint: str
    client_id: str
    redirect_uri: str
    client_secret: str | None = None
    scope: str = "openid"
    state: str = field(default_factory=secrets.token_urlsafe)
    nonce: str = field(default_factory=secrets.token_urlsafe)
    code_verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def url(self) -> str:
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{self.authorization_endpoint}?{urlencode(parameters)}"

    def token_answer(self, code: str, **changed: str) -> httpx.Response:
        """What the token endpoint answers to the code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.code_verifier,
        }
        secret = {} if self.client_secret is None else {"client_secret": self.client_secret}
        return httpx.post(self.token_endpoint, data=form | secret | changed, timeout=TIMEOUT)


def device_answer(device_authorization_endpoint: str, client_id: str, scope: str = "openid") -> dict[str, Any]:
    """What a device gets that wants somebody to sign in (RFC 8628)."""
    form = {"client_id": client_id, "scope": scope}
    answer: dict[str, Any] = (
        httpx.post(device_authorization_endpoint, data=form, timeout=TIMEOUT).raise_for_status().json()
    )
    return answer


def unverified_header(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    return header
