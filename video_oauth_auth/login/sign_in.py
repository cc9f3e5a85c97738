"""Signing in and out: what is said to the server. Plain blocking code that runs on a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from .. import transport
from ..client_calls import ClientCalls
from ..documents import endpoint_of
from ..endpoints import Parameters, bearer_request, code_parameters, device_parameters, read_token, refusal
from ..errands import Errand
from ..errors import ConfigurationError, InvalidResponseError, OAuthError, ResponseError, TransportError
from ..grants import AuthorizationCode, DeviceCode, Grant, check_authorization_extra
from ..server import AuthorizationServer
from ..settings import SourceSettings
from ..token import Token
from .authorization import (
    Answer,
    AuthorizationRequest,
    UserOf,
    authorization_request,
    checked_answer,
    checked_redirect,
)
from .device import DeviceAuthorization, read_device_authorization
from .id_token import checked_userinfo
from .redeemed import once, told_what_was_asked

__all__ = ["SignIn"]

TRIES, PAUSE = 3, 0.25  # to connect, while nothing has been sent; seconds in between


class SignIn:
    """Begins and completes sign-ins of people, and ends them.

    Args:
        settings: the settings of the token source that the tokens are for.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._directory = settings.directory
        self._calls = ClientCalls(settings.directory, settings.client)

    # --- authorization code -------------------------------------------------------------------------------------

    def begin(
        self,
        errand: Errand,
        *,
        redirect_uri: str | None,
        user: str | None,
        user_of: UserOf | None,
        parameters: Mapping[str, str],
    ) -> AuthorizationRequest:
        """Make an authorization request.

        Raises:
            ConfigurationError: the grant, the server or the redirect URI do not allow it.
            StoreError: the store says that it could not keep what comes of it.
            TransportError, InvalidResponseError: discovery failed, or the authorization endpoint is no URL to open.
        """
        grant = self.authorization_code()
        redirect_uri = checked_redirect(redirect_uri or grant.redirect_uri, self._directory.insecure_origins)
        self._check_store(errand)
        transport.warm_up(errand.via.library)
        server = self._directory.current(errand.via, errand.budget)
        endpoint = endpoint_of(server, "authorization_endpoint", self._directory.insecure_origins)
        if endpoint is None:
            raise ConfigurationError(f"{server.name} names no authorization_endpoint: nobody can sign in there")
        return authorization_request(
            grant,
            server,
            endpoint,
            name=server.name,
            client_id=self._client_id(),
            redirect_uri=redirect_uri,
            user=user,
            user_of=user_of,
            parameters=parameters,
        )

    def authorization_code(self) -> AuthorizationCode:
        """Give the grant, if it is one for a sign-in in a browser.

        Raises:
            ConfigurationError: it is another one.
        """
        grant = self._settings.grant
        if not isinstance(grant, AuthorizationCode):
            raise ConfigurationError(f"nobody can sign in here in a browser: the {_what_it_has(grant)}")
        return grant

    def redeem(self, request: AuthorizationRequest, answer: Answer, errand: Errand) -> Token:
        """Check an answer and redeem its code, once; gives the tokens with the verified claims.

        Raises:
            InvalidResponseError, LoginRequired, ResponseError: the answer is not what was asked for.
            ConfigurationError: the request was made for another server or client.
        """
        grant = self.authorization_code()
        server = self._directory.current(errand.via, errand.budget)
        if (request.issuer, request.client_id) != (server.name, self._client_id()):
            raise ConfigurationError(
                f"this sign-in was begun for the client {request.client_id} at {request.issuer}, not for "
                f"{self._client_id()} at {server.name}"
            )
        with _final():
            code = checked_answer(request, answer, server)
        errand.grant_type = grant.grant_type
        form = code_parameters(grant, code, request.redirect_uri, request.code_verifier)
        with once(request, errand), told_what_was_asked(request, answer):
            token = self._exchange(form, grant, server, errand)
        return self._verified(token, grant, server, errand, nonce=request.nonce if _is_openid(grant) else None)

    # --- device code --------------------------------------------------------------------------------------------

    def begin_on_device(self, grant: DeviceCode, parameters: Mapping[str, str], errand: Errand) -> DeviceAuthorization:
        """Ask for the code that a person types elsewhere (RFC 8628, section 3.1).

        Raises:
            ConfigurationError: the server has no such endpoint, or the parameters would override ours.
            OAuthError: there is none, and why.
        """
        check_authorization_extra("the parameters of a device authorization", parameters)
        self._check_store(errand)
        form = {"scope": grant.scope or "", "resource": grant.resource, "audience": grant.audience or "", **parameters}
        request, response = self._calls.send("device_authorization_endpoint", form, errand)
        return read_device_authorization(response, request, self._directory.insecure_origins)

    def poll(self, grant: DeviceCode, authorization: DeviceAuthorization, errand: Errand) -> Token:
        """Ask for the tokens once.

        Raises:
            ResponseError: `authorization_pending`, `slow_down`, or the end.
            TransportError: no answer.
        """
        errand.grant_type = grant.grant_type
        server = self._directory.current(errand.via, errand.budget)
        token = self._asked(device_parameters(grant, authorization.device_code), grant, server, errand)
        return self._verified(token, grant, server, errand, nonce=None)

    # --- signing out --------------------------------------------------------------------------------------------

    def revoke(self, token: Token, errand: Errand) -> bool:
        """Tell the server that these tokens are over (RFC 7009), the refresh token first; gives whether it knows.

        Raises:
            OAuthError: the server could not be told.
        """
        server = self._directory.current(errand.via, errand.budget)
        if server.revocation_endpoint is None:
            return False
        hint = server.issuer is not None  # IBM Video Streaming lists no such parameter
        refused: OAuthError | None = None
        for kind in ("refresh_token", "access_token"):
            if text := getattr(token, kind):
                form = {"token": text, "token_type_hint": kind if hint else ""}
                request, response = self._calls.send("revocation_endpoint", form, errand)
                error = refusal(response, request, "the revocation") if response.status != 200 else None
                if error is not None and not isinstance(error, ResponseError):
                    raise error
                refused = error or refused  # it may take the other kind (RFC 7009, section 2.2.1)
        if refused is not None:
            raise refused
        return True

    def end_session_url(
        self, token: Token | None, errand: Errand, *, post_logout_redirect_uri: str | None, state: str | None
    ) -> str:
        """Give the URL where the person's session at the server ends (OpenID Connect RP-Initiated Logout 1.0).

        Raises:
            ConfigurationError: the server has no such URL.
        """
        server = self._directory.current(errand.via, errand.budget)
        endpoint = endpoint_of(server, "end_session_endpoint", self._directory.insecure_origins)
        if endpoint is None:
            raise ConfigurationError(f"{server.name} names no end_session_endpoint in its metadata")
        parameters = {
            "id_token_hint": token.id_token if token else None,
            "client_id": self._client_id(),
            "post_logout_redirect_uri": post_logout_redirect_uri,
            "state": state,
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    # --- who it is ----------------------------------------------------------------------------------------------

    def userinfo(self, token: Token, errand: Errand) -> Mapping[str, Any] | None:
        """Ask who the person is (OpenID Connect Core, section 5.3); None if the token was rejected.

        Raises:
            ConfigurationError: the server does not tell.
            InvalidResponseError: the answer is about somebody else, or none.
        """
        transport.warm_up(errand.via.library)
        server = self._directory.current(errand.via, errand.budget)
        endpoint = endpoint_of(server, "userinfo_endpoint", self._directory.insecure_origins)
        if endpoint is None:
            raise ConfigurationError(f"{server.name} names no userinfo_endpoint in its metadata")
        request = bearer_request(endpoint, token)
        response = transport.send(request, via=errand.via, budget=errand.budget)
        if response.status == 401:
            return None
        error: OAuthError | None = refusal(response, request, "to tell who has signed in")
        if error is not None:
            raise error
        return checked_userinfo(response, endpoint, token.claims)

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_store(self, errand: Errand) -> None:
        """Ask the store before the person is asked: one that encrypts may lack its key."""
        check = getattr(self._settings.store, "check", None)
        if callable(check):
            errand.budget.phase = "checking the token store"
            check()

    def _exchange(self, parameters: Parameters, grant: Grant, server: AuthorizationServer, errand: Errand) -> Token:
        """Ask for a token with something that may be sent once only; tried again only while nothing has left."""
        tries = 1
        while True:
            try:
                return self._asked(parameters, grant, server, errand)
            except TransportError as error:
                if error.sent or error.lasting or tries == TRIES:
                    raise
            time.sleep(PAUSE * tries)
            tries += 1

    def _asked(self, parameters: Parameters, grant: Grant, server: AuthorizationServer, errand: Errand) -> Token:
        if _is_openid(grant):  # before anything is spent: what it brings could not be checked without the keys
            self._settings.id_tokens.prepare(server, errand.via, errand.budget)
        issued_at = time.time()
        request, response = self._calls.send("token_endpoint", parameters, errand)
        return replace(read_token(response, request, issued_at=issued_at), issued_by=server.issuer)

    def _verified(
        self, token: Token, grant: Grant, server: AuthorizationServer, errand: Errand, *, nonce: str | None
    ) -> Token:
        errand.budget.phase = "checking the ID token"
        client_id = self._client_id()
        try:
            claims = self._settings.id_tokens.claims(
                token, server=server, client_id=client_id, via=errand.via, budget=errand.budget, nonce=nonce
            )
        except TransportError as error:  # the issuer has new keys, and they cannot be had
            raise InvalidResponseError(f"the ID token could not be checked: {error}. Sign in once more") from None
        return replace(token, claims=claims, scope=token.scope or grant.scope)  # RFC 6749, section 5.1

    def _client_id(self) -> str:
        client = self._settings.client
        if client.credentials is not None:
            raise ConfigurationError(
                "a sign-in needs a client id that stays: give the client client_id and client_secret=, which may be a "
                "callable, instead of credentials="
            )
        return client.client_id or ""


def _is_openid(grant: Grant) -> bool:
    return "openid" in (grant.scope or "").split()


@contextmanager
def _final() -> Iterator[None]:
    """What these checks refuse, they will refuse again."""
    try:
        yield
    except InvalidResponseError as error:
        error.transient = False
        raise


def _what_it_has(grant: Grant | None) -> str:
    if grant is None:
        return "token source has no grant; a sign-in needs AuthorizationCode(redirect_uri) or DeviceCode()"
    if not grant.needs_person:
        return f"grant {grant.grant_type} gets its tokens without a person"
    return f"grant is {grant.grant_type}; a sign-in in a browser needs AuthorizationCode(redirect_uri)"
