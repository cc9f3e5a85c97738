"""The endpoints that clients call: for tokens, revocation and devices. From requests to what grants are about.

Authlib decides what a valid token request is; here is added what a test must be able to rely on: exactly one
client authentication per call, and no repeated parameters.
"""

import json
from collections import Counter
from urllib.parse import parse_qsl, urlencode

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error, UnauthorizedClientError

from .answers import Answer, json_answer
from .assertions import ClientAssertions
from .client_authentication import ClientAuthentication, FormRequest, check_one_authentication
from .codes import Codes
from .devices import Devices
from .grants import Grants
from .recording import RecordedRequest
from .settings import DEVICE_CODE
from .site import Site
from .tokens import Ledger

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class TokenEndpoint:
    """Answers token requests, revocations and device authorization requests."""

    def __init__(self, site: Site, ledger: Ledger, *, codes: Codes, devices: Devices) -> None:
        self._dialect = site.dialect
        self._ledger = ledger
        self._site = site
        self._devices = devices
        clients = ClientAuthentication(site.settings, ClientAssertions(site.settings, self._audiences))
        self._grants = Grants(site, ledger, codes=codes, devices=devices, clients=clients)

    def answer(self, request: RecordedRequest) -> Answer:
        """The token, or the error of RFC 6749 section 5.2 as the dialect says it."""
        form = self._checked(request)
        if isinstance(form, Answer):
            return form
        with self._ledger.lock:
            answer: Answer = self._grants.create_token_response(FormRequest(request, form))
            return answer

    def revocation(self, request: RecordedRequest) -> Answer:
        """Revoke the token (RFC 7009); one that nobody knows is no error."""
        form = self._checked(request)
        if isinstance(form, Answer):
            return form
        try:
            with self._ledger.lock:
                client_id = self._revoking_client(FormRequest(request, form))
                if "token" not in form:
                    raise InvalidRequestError("The token is missing.")
                self._ledger.revoke(form["token"], client_id)
        except OAuth2Error as error:
            return self._error(error)
        return self._dialect.revoked

    def device_authorization(self, request: RecordedRequest) -> Answer:
        """The codes for a device, and where a person types theirs (RFC 8628 section 3.2)."""
        form = self._checked(request)
        if isinstance(form, Answer):
            return form
        try:
            with self._ledger.lock:
                client = self._grants.authenticate_client(FormRequest(request, form), None)
                if DEVICE_CODE not in self._site.settings.grant_types:
                    raise UnauthorizedClientError("No client may use device codes.")
                device = self._devices.authorize(client.get_client_id(), form.get("scope"))
        except OAuth2Error as error:
            return self._error(error)
        uri = self._site.public_origin("token") + self._dialect.verification_path
        members = {
            "device_code": device.device_code,
            "user_code": device.user_code,
            "verification_uri": uri,
            "verification_uri_complete": f"{uri}?{urlencode({'user_code': device.user_code})}",
            "expires_in": self._site.settings.device_expires_in,
            "interval": device.interval,
        }
        return json_answer(200, members, (("Cache-Control", "no-store"),))

    def _revoking_client(self, request: FormRequest) -> str | None:
        if not self._dialect.revocation_needs_client:
            return None
        return self._grants.authenticate_client(request, None).get_client_id()

    def _audiences(self) -> list[str]:
        """Whom a client assertion may be for (RFC 7523 section 3)."""
        return [self._site.issuer, self._site.endpoint("token_endpoint") or ""]

    def _error(self, error: OAuth2Error) -> Answer:
        return self._grants.handle_response(*error())

    def _checked(self, request: RecordedRequest) -> dict[str, str] | Answer:
        """The parameters of a request, or what is answered where there are none that can be used."""
        if request.method != "POST":
            return Answer(405, headers=(("Allow", "POST"),))
        try:
            form = self._form(request)
            check_one_authentication(request, form)
        except OAuth2Error as error:
            return self._error(error)
        self._ledger.learn({name: form.get(name) for name in ("client_assertion", "code_verifier")})
        return form

    def _form(self, request: RecordedRequest) -> dict[str, str]:
        if not request.body and self._dialect.form_in_query:
            return _single_valued(parse_qsl(request.query, keep_blank_values=True))
        kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
        try:
            if kind == FORM:
                return _single_valued(parse_qsl(request.body.decode(), keep_blank_values=True))
            if kind == JSON and self._dialect.json_bodies:
                return {name: f"{value}" for name, value in json.loads(request.body).items()}
        except (ValueError, AttributeError) as error:
            raise InvalidRequestError("The body cannot be read.") from error
        raise InvalidRequestError(f"The body must be {FORM}.")


def _single_valued(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a form; a repeated one is an error (RFC 6749 section 3.2)."""
    if any(count > 1 for count in Counter(name for name, _ in pairs).values()):
        raise InvalidRequestError("A parameter is repeated.")
    return dict(pairs)
