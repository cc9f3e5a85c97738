"""The token endpoint: Authlib's server side, given our one client, our users and our ledger of tokens.

Authlib decides what a valid token request is; this module adds what a test must be able to rely on: exactly
one client authentication per call, no repeated parameters, and Basic credentials that are form-decoded.
"""

import base64
import binascii
import re
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientCredentialsGrant,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from .answers import Answer, json_answer
from .recording import RecordedRequest
from .settings import BASIC, NONE, POST, Settings
from .tokens import Ledger, RefreshToken, TokenAnswer

FORM = "application/x-www-form-urlencoded"
METHODS = [BASIC, POST, NONE]
MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Client:
    """The one registered client, asked by Authlib what it may do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __repr__(self) -> str:
        return "<the test client>"

    def get_client_id(self) -> str:
        return self._settings.client_id

    def check_client_secret(self, secret: str) -> bool:
        return secrets.compare_digest(secret.encode(), self._settings.client_secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in self._settings.token_endpoint_auth_methods

    def check_grant_type(self, _grant_type: str) -> bool:
        return True


class FormRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A token request as Authlib reads it."""

    def __init__(self, request: RecordedRequest, form: dict[str, str]) -> None:
        # Authlib refuses http; what counts here is that we listen on loopback, whatever it knows about that.
        super().__init__(request.method, f"https://localhost{request.path}")
        self.headers = {name.title(): value for name, value in request.headers}
        self.payload = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> dict[str, str]:
        return self._form


class ByClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def validate_token_request(self) -> None:
        super().validate_token_request()
        if self.request.auth_method == NONE:  # RFC 6749 section 4.4: confidential clients only
            raise UnauthorizedClientError("A public client cannot use this grant.")


class ByPassword(ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_user(self, username: str, password: str) -> str:
        known = self.server.settings.users.get(username)
        if known is None or not secrets.compare_digest(known.encode(), password.encode()):
            # RFC 6749 section 5.2; Authlib itself would say invalid_request
            raise InvalidGrantError("The name or the password is wrong.")
        return username


class ByRefreshToken(RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken:
        token = self.server.ledger.present(refresh_token)
        if token is None:
            raise InvalidGrantError("Token is not active")  # Keycloak's words
        return token  # type: ignore[no-any-return]  # Authlib has no types

    def authenticate_user(self, credential: RefreshToken) -> str:
        return credential.family.subject

    def issue_token(self, _user: str, credential: RefreshToken) -> TokenAnswer:
        return self.server.ledger.refresh(credential, self.request.payload.scope)  # type: ignore[no-any-return]

    def revoke_old_credential(self, _credential: RefreshToken) -> None:
        """Nothing: the ledger has spent it in the step that issued the new one."""


class Grants(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's authorization server over our settings and our ledger."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        super().__init__()
        self.settings = settings
        self.ledger = ledger
        for grant in (ByClientCredentials, ByPassword, ByRefreshToken):
            self.register_grant(grant)
        self.register_client_auth_method(BASIC, _authenticate_basic)
        self.register_client_auth_method(NONE, _authenticate_none)
        self.register_token_generator("default", self._generate)

    def query_client(self, client_id: str) -> Client | None:
        return Client(self.settings) if client_id == self.settings.client_id else None

    def _generate(self, *, client: Client, user: str | None, scope: str | None, **_: Any) -> TokenAnswer:
        return self.ledger.grant(subject=user or client.get_client_id(), scope=scope)

    def save_token(self, _token: TokenAnswer, _request: OAuth2Request) -> None:
        """Nothing: the ledger knows every token that it issued."""

    def send_signal(self, _name: str, *_: Any, **__: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: dict[str, Any], headers: list[tuple[str, str]]) -> Answer:
        others = tuple(pair for pair in headers if pair[0].lower() != "content-type")
        return json_answer(status, body, others)


class TokenEndpoint:
    """Answers token requests.

    Args:
        form_in_query: Whether a POST without a body may have its parameters in the query (Brightcove).
    """

    def __init__(self, settings: Settings, ledger: Ledger, *, form_in_query: bool) -> None:
        self._grants = Grants(settings, ledger)
        self._ledger = ledger
        self._form_in_query = form_in_query

    def answer(self, request: RecordedRequest) -> Answer:
        """The token, or the error of RFC 6749 section 5.2."""
        if request.method != "POST":
            return Answer(405, headers=(("Allow", "POST"),))
        try:
            form = self._form(request)
            _check_one_authentication(request, form)
        except OAuth2Error as error:
            return self._error(error)
        with self._ledger.lock:
            answer: Answer = self._grants.create_token_response(FormRequest(request, form))
            return answer

    def _error(self, error: OAuth2Error) -> Answer:
        return self._grants.handle_response(*error())

    def _form(self, request: RecordedRequest) -> dict[str, str]:
        if not request.body and self._form_in_query:
            return _single_valued(request.query)
        if (request.header("Content-Type") or "").partition(";")[0].strip().lower() != FORM:
            raise InvalidRequestError(f"The body must be {FORM}.")
        try:
            return _single_valued(request.body.decode())
        except UnicodeDecodeError as error:
            raise InvalidRequestError("The body must be UTF-8.") from error


def _single_valued(text: str) -> dict[str, str]:
    """The parameters of a form; a repeated one is an error (RFC 6749 section 3.2)."""
    pairs = parse_qsl(text, keep_blank_values=True)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise InvalidRequestError("A parameter is repeated.")
    return dict(pairs)


def _check_one_authentication(request: RecordedRequest, form: dict[str, str]) -> None:
    """Refuse two client authentications in one request (RFC 6749 section 2.3)."""
    headers = [name for name, _ in request.headers if name.lower() == "authorization"]
    if len(headers) > 1 or (headers and "client_secret" in form):
        raise InvalidRequestError("The client authenticates in more than one way.")


def _authenticate_basic(query_client: Callable[[str], Client | None], request: FormRequest) -> Client | None:
    """RFC 6749 section 2.3.1: id and secret are form-encoded. (Authlib's own leaves a plus sign as it is.)"""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClientError(status_code=401, description="Not base64 of UTF-8.") from error
    if MALFORMED_ESCAPE.search(pair):
        raise InvalidRequestError("The credentials are not form-encoded.")
    client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    client = query_client(client_id)
    return client if client and client.check_client_secret(secret) else None


def _authenticate_none(query_client: Callable[[str], Client | None], request: FormRequest) -> Client | None:
    """A public client names itself, and shows neither a secret nor an Authorization header."""
    if "Authorization" in request.headers or "client_secret" in request.form:
        return None
    return query_client(request.payload.client_id)
