"""Requests to the token endpoint and the reading of its answers: functions from values to values, no I/O."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from .client import ClientCredential, client_authentication
from .errors import InvalidResponseError, OAuthError, ResponseError, TransportError, cleaned
from .grants import Grant
from .server import AuthorizationServer
from .token import Token, number

__all__ = [
    "HTTPRequest",
    "HTTPResponse",
    "bearer_request",
    "code_parameters",
    "device_parameters",
    "form_request",
    "grant_parameters",
    "read_token",
    "refresh_parameters",
    "refusal",
]

RETRY_AFTER_CAP = 300.0  # seconds; a server must not be able to silence a client for days
SHORTEST_SECRET = 4  # characters; what is shorter stands in many words by chance

# RFC 6749 section 4.1.2.1 has them for the authorization endpoint; some token endpoints send them with a 400.
_TEMPORARY = frozenset({"temporarily_unavailable", "server_error"})

_SECRET = (
    "refresh_token",
    "password",
    "client_secret",
    "code",
    "code_verifier",
    "client_assertion",
    "device_code",
    "token",
)

OWN_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",  # a kept connection that died meanwhile would make a refresh look lost
    "User-Agent": "video-oauth-auth",
}

Parameters = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequest:
    """One of the library's own requests.

    Attributes:
        method: the HTTP method.
        url: where to.
        headers: all headers that it needs.
        body: the body.
        secrets: texts that must not be shown, whoever says them.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def place(self) -> str:
        """The URL as it may be shown: some gateways want a key in the query."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPResponse:
    """The complete answer to one of the library's own requests; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def grant_parameters(grant: Grant) -> Parameters:
    """Give the form parameters with which a grant asks for a token."""
    return {"grant_type": grant.grant_type, **grant.parameters(), **_target(grant)}


def refresh_parameters(refresh_token: str, grant: Grant | None) -> Parameters:
    """Give the form parameters of a refresh (RFC 6749, section 6); the scope stays that of the grant."""
    target = {} if grant is None else {name: value for name, value in _target(grant).items() if name != "scope"}
    more: Mapping[str, str] = getattr(grant, "refresh_extra", {})
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, **target, **more}


def _target(grant: Grant) -> Parameters:
    return {
        "scope": grant.scope or "",
        "resource": grant.resource,
        "audience": grant.audience or "",
        **grant.extra,
    }


def code_parameters(grant: Grant, code: str, redirect_uri: str, code_verifier: str) -> Parameters:
    """Give the form parameters that redeem a code (RFC 6749, section 4.1.3; RFC 7636, section 4.5)."""
    sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    return {**_target(grant), "scope": "", **sent, "code_verifier": code_verifier}


def device_parameters(grant: Grant, device_code: str) -> Parameters:
    """Give the form parameters that ask whether a person has signed in for a device (RFC 8628, section 3.4)."""
    return {**_target(grant), "scope": "", "grant_type": grant.grant_type, "device_code": device_code}


def form_request(
    url: str,
    credential: ClientCredential,
    method: str,
    parameters: Parameters,
    *,
    server: AuthorizationServer | None = None,
) -> HTTPRequest:
    """Build a request of a client to one of the server's endpoints; empty parameters are left out.

    Args:
        url: the endpoint.
        credential: the client's id and secret.
        method: the client authentication method.
        parameters: the form parameters.
        server: the metadata, for client assertions: their audience is the issuer, or else the token endpoint.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    headers, identity = client_authentication(
        credential,
        method,
        audience=url if server is None else server.issuer or server.token_endpoint or url,
        algorithms=None if server is None else server.token_endpoint_auth_signing_alg_values_supported,
    )
    form = {**parameters, **identity}
    repeated = [(name, item) for name, value in form.items() if not isinstance(value, str) for item in value]
    single = {name: value for name, value in form.items() if isinstance(value, str)}
    body = urlencode(repeated)
    if grant_type := single.pop("grant_type", ""):
        body = prepare_token_request(grant_type, body, **single)
    else:
        body = "&".join(filter(None, (body, urlencode({name: value for name, value in single.items() if value}))))
    basic = headers.get("Authorization", "").removeprefix("Basic ")
    return HTTPRequest(
        method="POST",
        url=url,
        headers={**OWN_HEADERS, "Content-Type": "application/x-www-form-urlencoded", **headers},
        body=body.encode("ascii"),
        secrets=hidden(*map(single.get, _SECRET), credential.client_secret, basic),
    )


def bearer_request(url: str, token: Token) -> HTTPRequest:
    """Build a request for what the person who signed in may know (OpenID Connect Core, section 5.3.1)."""
    headers = {**OWN_HEADERS, "Authorization": f"Bearer {token.access_token}"}
    return HTTPRequest(method="GET", url=url, headers=headers, secrets=hidden(token.access_token))


def hidden(*texts: str | None) -> tuple[str, ...]:
    """Give the texts that must not be shown, as they are and as they stand in a form or URL, the longest first."""
    found = {text for text in texts if text and len(text) >= SHORTEST_SECRET}
    return tuple(sorted({*found, *map(quote_plus, found), *map(quote, found)}, key=len, reverse=True))


def read_token(response: HTTPResponse, request: HTTPRequest, *, issued_at: float) -> Token:
    """Read the answer of a token endpoint.

    Args:
        response: the answer.
        request: what it answers.
        issued_at: when the request was sent, in epoch seconds.

    Raises:
        TransportError: 429, 5xx, or an error that calls itself temporary.
        ResponseError: the server said no, with whatever status.
        InvalidResponseError: the answer is no answer of a token endpoint.
    """
    error = refusal(response, request)
    if error is not None:
        raise error
    members = _members(response)
    if not isinstance(members, dict):
        raise InvalidResponseError(_not_a_token(response, request), status=response.status)
    return Token.from_response(members, issued_at=issued_at)


def refusal(response: HTTPResponse, request: HTTPRequest, what: str = "the token call") -> OAuthError | None:
    """Give what an answer says instead of yes, or None; `what` names the call."""
    status = response.status
    code, description, members = _told(_members(response), request)
    said = ": ".join(part for part in (code, description) if part)
    if status in (408, 429) or status >= 500 or (code in _TEMPORARY and status >= 400):
        wait = retry_after(response.headers)
        return TransportError(
            f"{request.place} answered {status}{f' ({said})' if said else ''}; {what} can be tried again later"
            f"{f', in {wait:.0f} s' if wait else ''}",
            status=status,
            retry_after=wait,
        )
    if 300 <= status < 400:
        return InvalidResponseError(
            f"{request.place} answered {status} and wants to redirect; secrets are not sent after a redirect. "
            f"Configure the endpoint's final URL",
            status=status,
        )
    if said and (status >= 400 or (code and "error" in members)):
        if code in _ADVICE:
            said = f"{said.rstrip('.')}. {_ADVICE[code]}"
        return ResponseError(
            f"{request.place} refused {what} with {status}: {said}",
            error=code,
            error_description=description or None,
            error_uri=_text(members.get("error_uri"), request) or None,
            status=status,
            extra={name: _shown(value, request) for name, value in list(members.items())[:20] if name not in _SHOWN},
        )
    if status not in (200, 201):
        return InvalidResponseError(_not_a_token(response, request), status=status)
    return None


_TOKENS = frozenset({"access_token", "refresh_token", "id_token"})
_SHOWN = _TOKENS | {"error", "error_description", "error_uri"}
_ADVICE = {
    "invalid_client": (
        "Compare the client id, its secret and token_endpoint_auth_method= with what the client is registered with"
    ),
    "unauthorized_client": "The client is not registered for this grant: register it for that, or use another grant",
}


def _told(members: object, request: HTTPRequest) -> tuple[str, str, Mapping[str, Any]]:
    """Find code and description in the shapes that real servers use: Brightcove has lists, cidaas nested objects."""
    if isinstance(members, list):
        members = next((item for item in members if isinstance(item, dict)), None)
    if not isinstance(members, dict):
        return "", "", {}

    def text(source: Mapping[str, Any], *names: str) -> str:
        return next(filter(None, (_text(source.get(name), request) for name in names)), "")

    error = members.get("error")
    if isinstance(error, dict):  # cidaas: {"success": false, "error": {"code": 10009, "error": "...", ...}}
        code, said = text(error, "code", "type"), text(error, "error", "message")
        return code or said, said if code else "", {**members, **error}
    return text(members, "error", "error_code"), text(members, "error_description", "message"), members


def _members(response: HTTPResponse) -> object:
    """Give what the body says: JSON, or the form encoding that some servers answer with; None for anything else."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        pass
    if re.fullmatch(
        rb"\s*[\w.~%+*!'()-]+=[\w.~%+*!'()=&-]*\s*", response.body
    ):  # nothing else: pages hold such links too
        return dict(parse_qsl(response.body.decode("ascii").strip()))
    return None


def _not_a_token(response: HTTPResponse, request: HTTPRequest) -> str:
    kind = cleaned(_text(response.headers.get("content-type", "no content type"), request), limit=60)
    seen = "an HTML page" if b"<html" in response.body[:2000].lower() else f"{len(response.body)} bytes of {kind}"
    return (
        f"{request.place} answered {response.status} with {seen}, which is no token answer (RFC 6749, section 5). "
        f"Is this URL the token endpoint?"
    )


def _text(value: object, request: HTTPRequest) -> str:
    """Give text from the server as it may be shown: without our secrets, control characters and endless length."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)
    for secret in request.secrets:  # before it is cut: a piece of a secret would not be found any more
        text = text.replace(secret, "…")
    return cleaned(text)


def _shown(value: object, request: HTTPRequest, depth: int = 0) -> object:
    """Give a further member of an error answer as it may be shown, without what is nested deeper than four levels."""
    if isinstance(value, dict) and depth < 4:
        items = [(name, item) for name, item in value.items() if name not in _TOKENS][:20]
        return {_text(name, request): _shown(item, request, depth + 1) for name, item in items}
    if isinstance(value, list) and depth < 4:
        return [_shown(item, request, depth + 1) for item in value[:20]]
    return _text(value, request) if isinstance(value, str) else value if isinstance(value, int | float) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Give the seconds that a server asks to wait (RFC 9110, section 10.2.3), at most five minutes.

    IBM Video Streaming has no Retry-After but X-RateLimit-Reset, a moment in epoch seconds.
    """
    value = headers.get("retry-after", "").strip()
    seconds = number(value)
    if seconds is None and value:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds is None and (reset := number(headers.get("x-ratelimit-reset"))) is not None:
        seconds = reset - time.time()
    return None if seconds is None else min(max(seconds, 0.0), RETRY_AFTER_CAP)
