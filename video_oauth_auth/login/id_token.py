"""Checks of ID tokens (OpenID Connect Core 1.0, sections 3.1.3.7 and 12.2) and of UserInfo (section 5.3).

A token is used only if its issuer signed it for this client, lately, for this sign-in. What its header says chooses
among the issuer's keys and among the allowed algorithms, and nothing else. A failed check is an
`InvalidResponseError` that says which; never the token, the nonce or what the claims say of a person.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .. import forks
from ..budget import Budget
from ..documents import check_available, endpoint_of, json_object, read_object
from ..endpoints import HTTPResponse
from ..errors import InvalidResponseError, cleaned
from ..origin import Origin
from ..server import AuthorizationServer
from ..token import Token, number
from ..transport import Via
from .keys import MOST_BYTES, Keys, decoded

__all__ = ["IDTokens", "checked_userinfo"]

LEEWAY = 120.0  # seconds that the clocks of server and client may differ
LONGEST_SUBJECT = 255  # characters (OpenID Connect Core, section 2)

# What may sign, and what it hashes with (for at_hash). No `none`, and nothing that is verified with a shared secret:
# cidaas lists HS256 in its metadata, and whoever knows a client secret could then sign for the issuer.
_HASHES = {
    **{f"{kind}{bits}": f"sha{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)},
    "EdDSA": "sha512",
    "Ed25519": "sha512",
}


_making = forks.ForkSafeLock()  # held while the place for an issuer's keys is made


class IDTokens:
    """Checks the ID tokens of one source, and keeps the keys of its issuer.

    Args:
        insecure_origins: origins that keys may be fetched from without TLS.
    """

    __slots__ = ("_insecure", "_keys")

    def __init__(self, insecure_origins: frozenset[Origin] = frozenset()) -> None:
        self._insecure = insecure_origins
        self._keys: Keys | None = None  # made when they are needed: most sources never need them

    def _issuer_keys(self) -> Keys:
        with _making.here():
            self._keys = self._keys or Keys()
            return self._keys

    def prepare(self, server: AuthorizationServer, via: Via, budget: Budget) -> None:
        """Fetch the issuer's keys, if it has some, before something is sent that can be sent once only.

        Raises:
            TransportError, InvalidResponseError: they cannot be had.
        """
        if server.issuer and server.jwks_uri:
            jwks_uri = endpoint_of(server, "jwks_uri", self._insecure) or ""
            self._issuer_keys().fetch(issuer=server.issuer, jwks_uri=jwks_uri, via=via, budget=budget)

    def claims(
        self,
        token: Token,
        *,
        server: AuthorizationServer,
        client_id: str,
        via: Via,
        budget: Budget,
        nonce: str | None = None,
        first: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        """Verify the ID token that came with an access token, and give its claims.

        Args:
            token: both tokens.
            server: the metadata of the issuer.
            client_id: whom it has to be for.
            via: the library that fetches the issuer's keys, where they are needed.
            budget: the time that it may take.
            nonce: what the authorization request sent; None where there was none, as at a refresh.
            first: the claims of the first ID token, at a refresh: it has to be about the same sign-in.

        Returns:
            The claims, read-only; None where there is no ID token, or the metadata name no issuer or no keys.

        Raises:
            InvalidResponseError: the ID token is not to be trusted, and why; or the issuer's keys cannot be read.
            TransportError: the issuer's keys cannot be fetched.
        """
        text, issuer = token.id_token, server.issuer
        if text is None or not issuer or not server.jwks_uri:
            return None
        _check_form(text)
        header = _header(text)
        alg = _algorithm(header, server.id_token_signing_alg_values_supported)
        jwks_uri = endpoint_of(server, "jwks_uri", self._insecure) or ""
        payload = self._issuer_keys().verified(
            text, alg=alg, kid=_kid(header), issuer=issuer, jwks_uri=jwks_uri, via=via, budget=budget
        )
        claims = json_object(payload)
        if claims is None:
            raise InvalidResponseError(
                "the ID token's claims are no JSON object (in UTF-8, no member twice, finite numbers only)"
            )
        _check_issuer(claims, issuer)
        _check_audience(claims, client_id)
        _check_times(claims)
        _check_subject(claims)
        _check_nonce(claims, nonce)
        _check_access_token(claims, token.access_token, alg)
        if first is not None:
            _check_same_sign_in(claims, first)
        return MappingProxyType(claims)


def checked_userinfo(response: HTTPResponse, url: str, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Read the answer of a UserInfo endpoint (OpenID Connect Core, section 5.3).

    Args:
        response: the answer.
        url: of the endpoint.
        claims: those of the ID token; None where there was none, or none that could be verified.

    Returns:
        What it says, read-only.

    Raises:
        TransportError: the server cannot answer now.
        InvalidResponseError: the answer is no JSON object with a `sub`, or about somebody else.
    """
    check_available(response, url)
    if response.status != 200:
        raise InvalidResponseError(f"{url} answered {response.status}, no UserInfo", status=response.status)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/jwt":
        raise InvalidResponseError(
            f"{url} answered with signed UserInfo (application/jwt), which is not supported; register the client "
            f"without userinfo_signed_response_alg",
            status=response.status,
        )
    if kind != "application/json":
        shown = cleaned(kind, limit=60) or "no content type"
        raise InvalidResponseError(f"{url} answered with {shown}, not application/json", status=response.status)
    members = read_object(response, url)
    _check_subject(members, f"the UserInfo of {url}")
    if claims is not None and members["sub"] != claims.get("sub"):
        raise InvalidResponseError(
            f"the UserInfo of {url} is about somebody else than the ID token: its sub is another one; it was not used"
        )
    return MappingProxyType(members)


# --- the header -----------------------------------------------------------------------------------------------------


def _check_form(text: str) -> None:
    if len(text) > MOST_BYTES:
        raise InvalidResponseError(f"the ID token has {len(text)} characters; more than {MOST_BYTES} are not read")
    dots = text.count(".")
    if dots == 4:
        raise InvalidResponseError("the ID token is encrypted (JWE), which is not supported")
    if dots != 2:
        raise InvalidResponseError(f"the ID token is no signed JWT: it has {dots} dots instead of 2")


def _header(text: str) -> dict[str, Any]:
    try:
        header = json_object(decoded(text.partition(".")[0]))
    except ValueError:
        header = None
    if header is None:
        raise InvalidResponseError("the ID token's header is no JSON object (in UTF-8, no member twice)")
    return header


def _algorithm(header: Mapping[str, Any], supported: tuple[str, ...] | None) -> str:
    """Give the algorithm, if everything that the header asks for is allowed."""
    for name in ("crit", "b64"):
        if name in header:
            raise InvalidResponseError(f"the ID token's header has {name}, an extension that is not supported")
    kind = header.get("typ", "JWT")
    # Other kinds of tokens say so in their type, as at+jwt (RFC 8725, section 3.11); the same keys sign those too.
    if not isinstance(kind, str) or kind.lower().endswith("+jwt"):
        raise InvalidResponseError(f"the ID token is another kind of token: its typ is {_shown(kind)}, not JWT")
    allowed = [alg for alg in _HASHES if supported is None or alg in supported]
    alg = header.get("alg")
    if alg not in allowed:
        said = "" if supported is None else " by this library and the metadata's id_token_signing_alg_values_supported"
        raise InvalidResponseError(
            f"the ID token is signed with {_shown(alg)}; allowed{said}: {', '.join(allowed) or 'nothing'}"
        )
    return str(alg)


def _kid(header: Mapping[str, Any]) -> str | None:
    kid = header.get("kid")
    if "kid" in header and not isinstance(kid, str):
        raise InvalidResponseError("the ID token's header has a kid that is no text")
    return kid


def _shown(value: object) -> str:
    return repr(cleaned(value, limit=60)) if isinstance(value, str) else type(value).__name__


# --- the claims -----------------------------------------------------------------------------------------------------


def _check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise InvalidResponseError(
            f"the ID token was issued by {_shown(claims.get('iss'))}, not by {issuer!r}; they have to be the same to "
            f"the letter"
        )


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Check whom it is for; others may be named besides (as Keycloak does) only if azp says that it was given to us."""
    audience, azp = claims.get("aud"), claims.get("azp")
    audience = [audience] if isinstance(audience, str) else audience
    if not isinstance(audience, list) or not all(isinstance(one, str) for one in audience):
        raise InvalidResponseError("the ID token's aud is neither a text nor a list of texts")
    if client_id not in audience:
        raise InvalidResponseError(f"the ID token is not for the client {client_id}: its aud names others")
    if "azp" in claims and azp != client_id:
        raise InvalidResponseError(f"the ID token was given to another client than {client_id}: its azp says so")
    if set(audience) != {client_id} and azp is None:
        raise InvalidResponseError(
            f"the ID token's aud names others besides the client {client_id}, and no azp says to whom it was given"
        )


def _check_times(claims: Mapping[str, Any]) -> None:
    clock = "Is the clock of this machine or of the server off?"
    moment, ends_at, issued_at = time.time(), _moment(claims, "exp"), _moment(claims, "iat")
    if ends_at <= moment - LEEWAY:
        raise InvalidResponseError(f"the ID token ended {moment - ends_at:.0f} s ago. {clock}")
    if issued_at > moment + LEEWAY:
        raise InvalidResponseError(f"the ID token was issued {issued_at - moment:.0f} s in the future. {clock}")
    if "nbf" in claims and (begins_at := _moment(claims, "nbf")) > moment + LEEWAY:
        raise InvalidResponseError(f"the ID token is not valid before {begins_at - moment:.0f} s from now. {clock}")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    moment = None if isinstance(value, str) else number(value)
    if moment is None:
        raise InvalidResponseError(f"the ID token's {name} is missing or no number that could be a moment")
    return moment


def _check_subject(members: Mapping[str, Any], what: str = "the ID token") -> None:
    subject = members.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise InvalidResponseError(f"{what} has no sub that is a text of 1 to {LONGEST_SUBJECT} characters")


def _check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    if nonce is None:
        return
    if "nonce" not in claims:
        raise InvalidResponseError("the ID token has no nonce, though the authorization request sent one")
    if not _same_text(claims["nonce"], nonce):
        raise InvalidResponseError("the ID token's nonce is not that of the authorization request: it may be replayed")


def _check_access_token(claims: Mapping[str, Any], access_token: str, alg: str) -> None:
    if "at_hash" not in claims:
        return
    digest = hashlib.new(_HASHES[alg], access_token.encode()).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
    if not _same_text(claims["at_hash"], half):
        raise InvalidResponseError("the ID token belongs to another access token: its at_hash is another one")


def _check_same_sign_in(claims: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Check the ID token of a refresh (OpenID Connect Core, section 12.2)."""
    for name in ("iss", "sub"):
        if claims[name] != first.get(name):
            raise InvalidResponseError(f"the refreshed ID token is of another sign-in: its {name} is another one")
    for name in ("azp", "auth_time", "nonce"):
        if name in claims and name in first and claims[name] != first[name]:
            raise InvalidResponseError(f"the refreshed ID token is of another sign-in: its {name} is another one")
    before = number(first.get("iat"))
    if before is not None and claims["iat"] < before - LEEWAY:
        raise InvalidResponseError(
            f"the refreshed ID token is older than the first one, by {before - claims['iat']:.0f} s: it may be replayed"
        )


def _same_text(value: object, expected: str) -> bool:
    """Compare in constant time."""
    return isinstance(value, str) and hmac.compare_digest(value.encode(), expected.encode())
