"""What is granted: Authlib's server side, given our clients, our users and our ledger of tokens."""

from typing import Any

from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    AuthorizationCodeGrant,
    AuthorizationServer,
    ClientCredentialsGrant,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
    UnauthorizedClientError,
    UnsupportedGrantTypeError,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import AuthorizationPendingError, DeviceCodeGrant, ExpiredTokenError, SlowDownError

from .answers import Answer, json_answer
from .client_authentication import Client, ClientAuthentication, FormRequest
from .codes import AuthorizationCode, Codes
from .devices import Devices
from .issued import Family, RefreshToken, TokenAnswer
from .pages import WRONG_PASSWORD
from .settings import NONE
from .site import Site
from .tokens import Ledger


class ByClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    def validate_token_request(self) -> None:
        super().validate_token_request()
        if self.request.auth_method == NONE:  # RFC 6749 section 4.4: confidential clients only
            raise UnauthorizedClientError("A public client cannot use this grant.")

    def create_token_response(self) -> tuple[int, TokenAnswer, list[tuple[str, str]]]:
        return 200, self.server.granted(self.request, None), self.TOKEN_RESPONSE_HEADER


class ByPassword(ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    def authenticate_user(self, username: str, password: str) -> str:
        if not self.server.site.is_right_password(username, password):
            # RFC 6749 section 5.2; Authlib itself would say invalid_request
            raise InvalidGrantError(WRONG_PASSWORD)
        return username

    def create_token_response(self) -> tuple[int, TokenAnswer, list[tuple[str, str]]]:
        return 200, self.server.granted(self.request, self.request.user), self.TOKEN_RESPONSE_HEADER


class ByRefreshToken(RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken:
        token = self.server.ledger.present(refresh_token)
        if isinstance(token, RefreshToken):
            return token
        raise InvalidGrantError(self.server.site.dialect.refresh_refusal(token))

    def authenticate_user(self, credential: RefreshToken) -> str:
        return credential.family.user or credential.family.client_id

    def issue_token(self, _user: str, credential: RefreshToken) -> TokenAnswer:
        scope = self.request.payload.scope
        return self.server.ledger.refresh(credential, scope, self.request.form)  # type: ignore[no-any-return]  # Authlib is untyped

    def revoke_old_credential(self, _credential: RefreshToken) -> None:
        """Nothing: the ledger has spent it in the step that issued the new one."""


class ByAuthorizationCode(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib has no types
    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        return self.server.codes.present(code, client.get_client_id())  # type: ignore[no-any-return]  # Authlib is untyped

    def create_token_response(self) -> tuple[int, TokenAnswer, list[tuple[str, str]]]:
        code = self.request.authorization_code
        answer = self.server.ledger.issue(code.family, self.request.form, nonce=code.nonce)
        return 200, answer, self.TOKEN_RESPONSE_HEADER


class ByDeviceCode(DeviceCodeGrant):  # type: ignore[misc]  # Authlib has no types
    def validate_token_request(self) -> None:
        if "device_code" not in self.request.form:
            raise InvalidRequestError("The device_code is missing.")
        client = self.authenticate_token_endpoint_client()
        outcome = self.server.devices.poll(self.request.form["device_code"], client.get_client_id())
        if not isinstance(outcome, Family):
            raise DEVICE_ERRORS[outcome]()
        self.request.credential = outcome

    def create_token_response(self) -> tuple[int, TokenAnswer, list[tuple[str, str]]]:
        answer = self.server.ledger.issue(self.request.credential, self.request.form)
        return 200, answer, self.TOKEN_RESPONSE_HEADER


DEVICE_ERRORS: dict[str, type[OAuth2Error]] = {
    "unknown": InvalidGrantError,
    "expired": ExpiredTokenError,
    "slow_down": SlowDownError,
    "pending": AuthorizationPendingError,
    "denied": AccessDeniedError,
}
GRANTS = (ByClientCredentials, ByPassword, ByRefreshToken, ByDeviceCode)


class Grants(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's authorization server over our settings, our ledger, our codes and our devices."""

    def __init__(
        self, site: Site, ledger: Ledger, *, codes: Codes, devices: Devices, clients: ClientAuthentication
    ) -> None:
        super().__init__()
        self.site = site
        self.ledger = ledger
        self.codes = codes
        self.devices = devices
        self._clients = clients
        for grant in GRANTS:
            self.register_grant(grant)
        self.register_grant(ByAuthorizationCode, [CodeChallenge(required=False)])  # which request needs one, it has

    def query_client(self, client_id: str) -> Client | None:
        return self._clients.client(client_id)

    def authenticate_client(self, request: FormRequest, _methods: object, _endpoint: str = "token") -> Client:
        client, request.auth_method = self._clients.authenticate(request)
        return client

    def get_token_grant(self, request: FormRequest) -> Any:
        if request.payload.grant_type not in self.site.settings.grant_types:
            raise UnsupportedGrantTypeError(request.payload.grant_type)
        return super().get_token_grant(request)

    def granted(self, request: FormRequest, user: str | None) -> TokenAnswer:
        """The tokens of a new grant for a request that has been found valid."""
        client_id, scope = request.client.get_client_id(), request.payload.scope
        return self.ledger.grant(user=user, client_id=client_id, scope=scope, form=request.form)

    def save_token(self, _token: TokenAnswer, _request: OAuth2Request) -> None:
        """Nothing: the ledger knows every token that it issued."""

    def send_signal(self, _name: str, *_: Any, **__: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: dict[str, Any], headers: list[tuple[str, str]]) -> Answer:
        others = tuple(pair for pair in headers if pair[0].lower() != "content-type")
        if "error" in body:
            return self.site.dialect.token_error(status, body, others)
        return json_answer(status, body, others)
