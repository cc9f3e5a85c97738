"""How a client proves who it is at the token endpoint: by exactly one method, which it is registered for."""

import base64
import binascii
import re
import secrets
from collections import Counter
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from .assertions import ClientAssertions
from .minting import Form
from .recording import RecordedRequest
from .settings import BASIC, KEY_JWT, NONE, POST, RAW, SECRET_JWT, Settings

UNKNOWN_CLIENT = "There is no such client."
NOT_AUTHENTICATED = "The client does not authenticate as it is registered."
MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Client:
    """A registered client, asked by Authlib what it may do."""

    def __init__(self, settings: Settings, client_id: str, methods: tuple[str, ...]) -> None:
        self._settings = settings
        self._client_id = client_id
        self.methods = methods

    def __repr__(self) -> str:
        return "<a test client>"

    def get_client_id(self) -> str:
        return self._client_id

    def check_client_secret(self, secret: str) -> bool:
        return secrets.compare_digest(secret.encode(), self._settings.client_secret.encode())

    def check_grant_type(self, _grant_type: str) -> bool:
        return True


class FormRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A token request as Authlib reads it."""

    def __init__(self, request: RecordedRequest, form: Form) -> None:
        # Authlib refuses http; what counts here is that we listen on loopback, whatever it knows about that.
        super().__init__(request.method, f"https://localhost{request.path}")
        self.headers = {name.title(): value for name, value in request.headers}
        self.payload = BasicOAuth2Payload(dict(form))
        self._form = dict(form)

    @property
    def form(self) -> dict[str, str]:
        return self._form


class ClientAuthentication:
    """Finds the client of a request.

    Args:
        settings: The clients and their methods.
        assertions: Verifies what is signed.
    """

    def __init__(self, settings: Settings, assertions: ClientAssertions) -> None:
        self._settings = settings
        self._assertions = assertions
        self._ways = {BASIC: self._basic, POST: self._post, RAW: self._raw, NONE: self._none}

    def client(self, client_id: str | None) -> Client | None:
        """The client with this id."""
        return registered_client(self._settings, client_id)

    def authenticate(self, request: FormRequest) -> tuple[Client, str]:
        """The client that this request comes from, and the method by which it has proved that.

        Raises:
            InvalidClientError: It has not.
            InvalidRequestError: It cannot be read.
        """
        public = () if self._settings.public_client_id is None else (NONE,)
        for method in dict.fromkeys((*self._settings.token_endpoint_auth_methods, *public)):
            client = self._signed(request, method) if method in (SECRET_JWT, KEY_JWT) else self._ways[method](request)
            if client and method in client.methods:
                return client, method
        unknown = self.client(_named(request)) is None
        raise InvalidClientError(status_code=401, description=UNKNOWN_CLIENT if unknown else NOT_AUTHENTICATED)

    def _basic(self, request: FormRequest) -> Client | None:
        client_id, secret = _basic_pair(request) or (None, "")
        return self._with_secret(client_id, secret)

    def _post(self, request: FormRequest) -> Client | None:
        secret = request.form.get("client_secret")
        return None if secret is None else self._with_secret(request.form.get("client_id"), secret)

    def _raw(self, request: FormRequest) -> Client | None:
        secret = _credentials(request)
        return None if secret is None else self._with_secret(request.form.get("client_id"), secret)

    def _none(self, request: FormRequest) -> Client | None:
        """A public client names itself, and shows nothing else."""
        shows_more = "Authorization" in request.headers or {"client_secret", "client_assertion"} & request.form.keys()
        return None if shows_more else self.client(request.form.get("client_id"))

    def _signed(self, request: FormRequest, method: str) -> Client | None:
        return self.client(self._assertions.signer(request.form, method))

    def _with_secret(self, client_id: str | None, secret: str) -> Client | None:
        client = self.client(client_id)
        return client if client and client.check_client_secret(secret) else None


def registered_client(settings: Settings, client_id: str | None) -> Client | None:
    """The client with this id: the one with a secret, or the public one."""
    if client_id == settings.client_id:
        return Client(settings, client_id, settings.token_endpoint_auth_methods)
    if client_id is not None and client_id == settings.public_client_id:
        return Client(settings, client_id, (NONE,))
    return None


def check_one_authentication(request: RecordedRequest, form: Form) -> None:
    """Refuse two client authentications in one request (RFC 6749 section 2.3)."""
    given = Counter(name.lower() for name, _ in request.headers)["authorization"]
    given += sum(name in form for name in ("client_secret", "client_assertion"))
    if given > 1:
        raise InvalidRequestError("The client authenticates in more than one way.")


def _credentials(request: FormRequest) -> str | None:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials if scheme.lower() == "basic" else None


def _basic_pair(request: FormRequest) -> tuple[str, str] | None:
    """RFC 6749 section 2.3.1: id and secret are form-encoded. (Authlib's own leaves a plus sign as it is.)"""
    try:
        pair = base64.b64decode(_credentials(request) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    if MALFORMED_ESCAPE.search(pair):
        raise InvalidRequestError("The credentials are not form-encoded.")
    client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    return client_id, secret


def _named(request: FormRequest) -> str | None:
    if "client_id" in request.form:
        return str(request.form["client_id"])
    pair = _basic_pair(request)
    return pair[0] if pair else None
