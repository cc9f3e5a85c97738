"""The steps of a login as a raw HTTP client takes them, without the library: for tests of the bundled server."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from video_oauth_auth.testing import LoopbackServer

BACK = "http://127.0.0.1:8765/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
NAME, PASSWORD = "ann", "her password"


def authorization_url(server: LoopbackServer, **changes: str | None) -> httpx.URL:
    """An authorization request; a change to None leaves the parameter out."""
    asked = {
        "response_type": "code",
        "client_id": server.client_id,
        "redirect_uri": BACK,
        "scope": "openid",
        "state": "the state",
        "nonce": "the nonce",
        **PKCE,
        **changes,
    }
    url = server.url + server.dialect.endpoints["authorization_endpoint"]
    return httpx.URL(url, params={name: value for name, value in asked.items() if value is not None})


def ask(server: LoopbackServer, **changes: str | None) -> httpx.Response:
    return httpx.get(authorization_url(server, **changes))


def submit(form: httpx.Response, **typed: str) -> httpx.Response:
    """Fill in the form of a page; by default with the right name and password."""
    hidden = {unescape(name): unescape(value) for name, value in HIDDEN.findall(form.text)}
    action = re.findall(r'<form method="post" action="([^"]*)">', form.text)
    assert len(action) == 1, form.text
    typed = {"username": NAME, "password": PASSWORD, "decision": "allow", **typed}
    return httpx.post(form.url.join(unescape(action[0])), data={**hidden, **typed})


def told(answer: httpx.Response, *, part: str = "query") -> dict[str, str]:
    """What the client is told by a redirect to it."""
    assert answer.status_code in (302, 303), answer.text
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == BACK
    other = {"query": location.fragment, "fragment": location.query}[part]
    assert other == ""
    return dict(parse_qsl(getattr(location, part), keep_blank_values=True, strict_parsing=True))


def code(server: LoopbackServer, **changes: str | None) -> str:
    """An authorization code of Ann."""
    return told(submit(ask(server, **changes)))["code"]


def redeem(server: LoopbackServer, text: str, **changes: str | None) -> httpx.Response:
    """The token request for a code."""
    form = {
        "grant_type": "authorization_code",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
        "code": text,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        **changes,
    }
    return httpx.post(server.token_endpoint, data={name: value for name, value in form.items() if value is not None})


def tokens(server: LoopbackServer, **changes: str | None) -> dict[str, Any]:
    """The token answer of a whole login of Ann."""
    answer = redeem(server, code(server, **changes))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def call(server: LoopbackServer, token: dict[str, Any], path: str = "/me") -> httpx.Response:
    return httpx.get(server.api_url + path, headers={"Authorization": f"Bearer {token['access_token']}"})


def at_hash(token: dict[str, Any]) -> str:
    return urlsafe_b64encode(hashlib.sha256(token["access_token"].encode()).digest()[:16]).decode().rstrip("=")
