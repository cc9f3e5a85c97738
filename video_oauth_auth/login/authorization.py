"""The authorization request and its answer (RFC 6749, section 4.1; RFC 7636; RFC 9207), without I/O."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from ..errors import ConfigurationError, InvalidResponseError, LoginRequired, OAuthError, ResponseError, cleaned
from ..grants import AuthorizationCode, check_authorization_extra
from ..origin import Origin, checked_endpoint, has_any_port
from ..server import AuthorizationServer
from ..token import Token

__all__ = [
    "Answer",
    "AuthorizationRequest",
    "authorization_request",
    "belongs_to",
    "checked_answer",
    "checked_redirect",
]

SECRET_BYTES = 32  # 256 bits each for the state, the nonce and the code verifier
LONGEST_ANSWER = 16 * 1024  # characters

Answer = str | Mapping[str, Any]
UserOf = Callable[[Token], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A sign-in that has begun: where to send the person, and what its answer will be checked with.

    Keep it where only that person's browser session leads to, and give it back once: `complete_login`.

    Attributes:
        url: where the person signs in.
        state: comes back with the answer.
        code_verifier: proves that the code is redeemed by who asked for it (RFC 7636).
        nonce: stands in the ID token.
        redirect_uri: where the answer comes to.
        issuer: what the authorization server is known by: its issuer, or the token endpoint.
        client_id: who asked.
        user: whose tokens they will be; None where the ID token tells.
    """

    url: str = field(repr=False)
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    redirect_uri: str
    issuer: str
    client_id: str
    user: str | None = ""
    user_of: UserOf | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, str | None]:
        """Give it as plain JSON values, for a web session. It holds secrets of this one sign-in."""
        return {name: getattr(self, name) for name in _MEMBERS}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            ConfigurationError: it is something else.
        """
        if not isinstance(members, Mapping) or set(members) != set(_MEMBERS):
            raise ConfigurationError("this is no sign-in that has begun: give what AuthorizationRequest.to_dict() gave")
        needed = [name for name in _MEMBERS if name != "user" or members[name] not in ("", None)]
        if wrong := [name for name in needed if not isinstance(members[name], str) or not members[name]]:
            raise ConfigurationError(f"the sign-in that has begun is damaged: {', '.join(wrong)}")
        return cls(**members)


_MEMBERS = ("url", "state", "code_verifier", "nonce", "redirect_uri", "issuer", "client_id", "user")


def authorization_request(
    grant: AuthorizationCode,
    server: AuthorizationServer,
    endpoint: str,
    *,
    name: str,
    client_id: str,
    redirect_uri: str,
    user: str | None,
    user_of: UserOf | None,
    parameters: Mapping[str, str],
) -> AuthorizationRequest:
    """Begin a sign-in, with a fresh state, nonce and code verifier.

    Args:
        grant: what is asked for.
        server: the metadata.
        endpoint: the authorization endpoint, checked.
        name: what the server is known by.
        client_id: who asks.
        redirect_uri: where the answer shall come to.
        user: whose tokens they will be; None where the ID token tells.
        user_of: finds the user in the token.
        parameters: further parameters.

    Raises:
        ConfigurationError: the parameters would override ours, or the server offers no acceptable PKCE method.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri

    check_authorization_extra("the parameters of an authorization request", parameters)
    state, nonce, code_verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(3))
    more: dict[str, object] = {**grant.authorization_extra, **parameters}
    if "openid" in (grant.scope or "").split():
        more["nonce"] = nonce
    url: str = prepare_grant_uri(
        endpoint,
        client_id,
        "code",
        redirect_uri,
        grant.scope,
        state,
        **more,
        **_challenge(code_verifier, grant, server),
        resource=grant.resource,
        audience=grant.audience,
    )
    return AuthorizationRequest(
        url=url,
        state=state,
        code_verifier=code_verifier,
        nonce=nonce,
        redirect_uri=redirect_uri,
        issuer=name,
        client_id=client_id,
        user=user,
        user_of=user_of,
    )


def _challenge(code_verifier: str, grant: AuthorizationCode, server: AuthorizationServer) -> Mapping[str, str]:
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    offered = server.code_challenge_methods_supported
    if offered is None or "S256" in offered or not offered:
        return {"code_challenge": create_s256_code_challenge(code_verifier), "code_challenge_method": "S256"}
    if grant.code_challenge_method == "plain" and "plain" in offered:
        return {"code_challenge": code_verifier, "code_challenge_method": "plain"}
    raise ConfigurationError(
        f"{server.name} offers {cleaned(', '.join(offered))} for PKCE and not S256; if you must, allow the weak method "
        f"with AuthorizationCode(code_challenge_method='plain')"
    )


def checked_redirect(redirect_uri: str | None, insecure_origins: frozenset[Origin]) -> str:
    """Give back a redirect URI that an answer may come to (RFC 6749, section 3.1.2; RFC 8252, section 7).

    Raises:
        ConfigurationError: it is none, or has port 0, which only `login()` replaces by a free one.
        InsecureTransportError: a code would travel readable.
    """
    if not isinstance(redirect_uri, str) or not redirect_uri:
        raise ConfigurationError("a sign-in needs a redirect_uri=, the one that is registered for the client")
    scheme = redirect_uri.partition(":")[0].lower()
    if has_any_port(redirect_uri):
        raise ConfigurationError("redirect_uri has port 0: only login() finds a free port by itself")
    if scheme in ("http", "https"):
        checked_endpoint(redirect_uri, "redirect_uri", insecure_origins)
    elif not re.fullmatch(r"[a-z][a-z0-9+.-]*:[!-~]+", redirect_uri) or scheme in _NO_APPLICATION:
        raise ConfigurationError(f"redirect_uri={cleaned(redirect_uri)!r} is no URI that a browser can come back to")
    return redirect_uri


_NO_APPLICATION = frozenset({"javascript", "data", "file", "vbscript", "about", "blob", "urn"})


# --- the answer -------------------------------------------------------------------------------------------------


def belongs_to(request: AuthorizationRequest, answer: Answer) -> bool:
    """Tell whether this is an answer with the state of this request, once; the request itself has it too."""
    try:
        parameters = _parameters(answer)
    except OAuthError:
        return False
    return _has_state(request, parameters) and not parameters.keys().isdisjoint(("code", "error"))


def checked_answer(request: AuthorizationRequest, answer: Answer, server: AuthorizationServer) -> str:
    """Give the code of an answer that is found to be the one to this request.

    Args:
        request: what was asked.
        answer: the callback URL, its query, or its parameters.
        server: the metadata.

    Raises:
        InvalidResponseError: it is the answer to something else, or of somebody else, or none at all.
        LoginRequired: the person said no.
        ResponseError: the server said no.
    """
    parameters = _parameters(answer)
    if not _has_state(request, parameters):
        raise InvalidResponseError(
            "this answer does not belong to the sign-in: its state is missing or another one. Begin the sign-in anew; "
            "where it was begun in a web session, complete it in the same one"
        )
    _check_issuer(parameters.get("iss"), server)
    if "error" in parameters:
        if "code" in parameters:
            raise InvalidResponseError("this answer to the sign-in has a code and an error at once")
        raise _refused(parameters, request)
    if not parameters.get("code"):
        raise InvalidResponseError("this answer to the sign-in has neither a code nor an error")
    return parameters["code"]


def _has_state(request: AuthorizationRequest, parameters: Mapping[str, str]) -> bool:
    state = parameters.get("state", "")
    return state != "" and hmac.compare_digest(state.encode(errors="replace"), request.state.encode())


def _check_issuer(named: str | None, server: AuthorizationServer) -> None:
    """Compare the `iss` parameter (RFC 9207, section 2.4), in answers that say yes and in those that say no."""
    if named is None:
        if server.authorization_response_iss_parameter_supported:
            raise InvalidResponseError(
                f"this answer to the sign-in names no issuer (iss), although {server.name} says that its answers do"
            )
    elif named != server.issuer:
        expected = f"not {server.issuer}"
        if server.issuer is None:
            expected = (
                "and nothing is known to compare it with. If it is the one that you expect, name it beside the "
                'endpoints, AuthorizationServer(issuer="..."), and begin the sign-in anew'
            )
        raise InvalidResponseError(f"this answer to the sign-in comes from the issuer {cleaned(named)!r}, {expected}")


def _refused(parameters: Mapping[str, str], request: AuthorizationRequest) -> OAuthError:
    def shown(name: str, limit: int = 300) -> str:
        text = parameters.get(name, "")
        for secret in (request.state, request.nonce, request.code_verifier):
            text = text.replace(secret, "…")
        return cleaned(text, limit=limit)

    error, said = shown("error", 100), shown("error_description")
    told = f"{error}: {said}" if said else error
    if error == "access_denied":
        return LoginRequired(
            f"the sign-in at {request.issuer} was refused by the person or the server ({told})",
            reason="denied",
            user=request.user or "",
        )
    return ResponseError(
        f"{request.issuer} answered the authorization request with {told}",
        error=error,
        error_description=said or None,
        error_uri=shown("error_uri") or None,
    )


def _parameters(answer: Answer) -> Mapping[str, str]:
    """Read a callback URL, its query, or the parameters that a web framework gives; each must stand there once."""
    pairs = _pairs_of_text(answer) if isinstance(answer, str) else list(_pairs_of_mapping(answer))
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise InvalidResponseError("this answer to the sign-in has a parameter twice (RFC 6749, section 3.1)")
    return parameters


def _pairs_of_text(answer: str) -> list[tuple[str, str]]:
    if len(answer) > LONGEST_ANSWER:
        raise InvalidResponseError(f"this answer to the sign-in has more than {LONGEST_ANSWER} characters")
    try:
        parts = urlsplit(answer.strip())
        query = parts.query or ("" if parts.scheme or parts.netloc or parts.fragment else parts.path)
        found = parse_qsl(query, keep_blank_values=True) + parse_qsl(parts.fragment, keep_blank_values=True)
    except ValueError:
        found = []
    return [(name.lstrip("?/"), value) for name, value in found]


def _pairs_of_mapping(answer: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if not isinstance(answer, Mapping):
        raise ConfigurationError(
            f"the answer to a sign-in is its callback URL or a mapping of its parameters, not {type(answer).__name__}"
        )
    # What web frameworks give may hold a name several times.
    several = getattr(answer, "getlist", None) or getattr(answer, "getall", None)
    for name in answer:
        values = several(name) if callable(several) else answer[name]
        for value in values if isinstance(values, list | tuple) else [values]:
            if not isinstance(value, str) or len(value) > LONGEST_ANSWER:
                raise InvalidResponseError("this answer to the sign-in has a parameter that is no text, or endless")
            yield name, value
