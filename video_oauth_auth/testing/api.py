"""The protected API: paths that a test of an HTTP client needs, behind a real check of every token."""

import json
from dataclasses import replace
from urllib.parse import parse_qs

from .answers import Answer, json_answer, redirect
from .challenges import as_answer
from .issued import AccessToken, Family
from .recording import RecordedRequest, TokenState
from .settings import Settings
from .site import Site
from .storage import Storage
from .tokens import Ledger

REDIRECTS = (301, 302, 303, 307, 308)
STREAM = tuple(b"chunk %d\n" % number for number in range(8))


class Api:
    """Answers API requests; a dialect extends `resource` with the paths of its platform.

    The paths, besides that of the userinfo endpoint: `/me`, `/echo` (any method), `/upload` (POST, PUT),
    `/redirect?to=URL&status=303`, `/stream`, `/always-401`, `/cookie`.
    """

    def __init__(self, site: Site, ledger: Ledger, storage: Storage) -> None:
        self.site = site
        self.settings: Settings = site.settings
        self.ledger = ledger
        self.storage = storage

    @property
    def authorization_scheme(self) -> str | None:
        """The scheme under which this API expects the token; None: the bare token."""
        return self.settings.authorization_scheme

    def token_state(self, request: RecordedRequest) -> TokenState:
        """What the token of this request is worth now."""
        text = self._token_text(request)
        return "none" if text is None else self.ledger.state(text)

    def answer(self, request: RecordedRequest) -> Answer:
        """The resource for a live token, the challenge for everything else."""
        if sum(name.lower() == "authorization" for name, _ in request.headers) > 1:
            return json_answer(400, {"error": "invalid_request"})  # RFC 6750 section 3.1
        refused = request.token_state != "live" or request.path == "/always-401"  # noqa: S105 - a state
        answer = self.challenge(request) if refused else self.resource(request)
        if request.path == "/cookie":
            return replace(answer, headers=(*answer.header_pairs, ("Set-Cookie", "visited=yes; Path=/")))
        return answer

    def challenge(self, request: RecordedRequest) -> Answer:
        """What a request without a live token gets."""
        challenge = self.settings.challenge
        return challenge(request) if callable(challenge) else as_answer(challenge)

    def resource(self, request: RecordedRequest) -> Answer:
        """What a request with a live token gets."""
        if request.path == self.site.dialect.endpoints.get("userinfo_endpoint"):
            return json_answer(200, self.userinfo(self.token(request).family))
        match request.path:
            case "/me":
                return self._me(request)
            case "/echo":
                return _echo(request)
            case "/upload":
                return _upload(request)
            case "/redirect":
                return _redirect(request)
            case "/stream":
                return Answer(200, headers=(("Content-Type", "text/plain"),), chunks=STREAM)
            case "/cookie":
                return json_answer(200, {"cookie": request.header("Cookie")})
        return json_answer(404, {"error": "not_found"})

    def userinfo(self, family: Family) -> dict[str, object]:
        """What is told about whom these tokens belong to (OpenID Connect Core section 5.3)."""
        return {"sub": self.ledger.mint.subject(family)}

    def token(self, request: RecordedRequest) -> AccessToken:
        """The token of a request that had a live one."""
        return self.ledger.access_token(self._token_text(request) or "")

    def _me(self, request: RecordedRequest) -> Answer:
        token = self.token(request)
        subject = self.ledger.mint.subject(token.family)
        return json_answer(200, {"sub": subject, "client_id": token.family.client_id, "scope": token.scope})

    def _token_text(self, request: RecordedRequest) -> str | None:
        value = request.header("Authorization")
        expected = self.authorization_scheme
        if value is None or expected is None:
            return value
        scheme, _, text = value.partition(" ")
        return text.strip() if scheme.lower() == expected.lower() else None


def _echo(request: RecordedRequest) -> Answer:
    shown = [pair for pair in request.headers if pair[0].lower() != "authorization"]
    members = {"method": request.method, "path": request.path, "query": request.query, "headers": shown}
    return json_answer(200, {**members, "size": request.size, "sha256": request.sha256})


def _upload(request: RecordedRequest) -> Answer:
    if request.method not in ("POST", "PUT"):
        return Answer(405, headers=(("Allow", "POST, PUT"),))
    return json_answer(200, {"size": request.size, "sha256": request.sha256})


def _redirect(request: RecordedRequest) -> Answer:
    query = parse_qs(request.query)
    to, status = query.get("to", [""])[0], query.get("status", ["303"])[0]
    if not to or not status.isdecimal() or int(status) not in REDIRECTS:
        return json_answer(400, {"error": "invalid_request", "error_description": "to=URL&status=303"})
    return redirect(int(status), to)


def json_object(request: RecordedRequest) -> dict[str, object] | None:
    """The body of a request if it is a JSON object."""
    try:
        value = json.loads(request.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
