"""Brightcove's API for client credentials, in memory: for whoever has the BC_TOKEN of a Studio session.

Source: the vendor's OAuth API reference at https://apis.support.brightcove.com/oauth/references/reference.html.
"""

import secrets
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from .answers import Answer, json_answer
from .api import json_object
from .recording import RecordedRequest
from .routes import Route, Routes, query_of
from .tokens import Ledger

CREDENTIALS = "/v4/client_credentials"
ACCOUNT_TYPES = ("video-cloud-account", "perform-account")
DENIED = "The request does not carry authentication credentials sufficient to authorize the requested access."


def registration_error(status: int, code: str, message: str) -> Answer:
    """An error about a credential: a list of one object, as the other APIs send it."""
    return json_answer(status, [{"error_code": code, "message": message}])


class CredentialsApi:
    """Makes, lists, tells, changes and deletes client credentials; a secret is told once.

    Args:
        ledger: Learns the secrets.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()  # guards the credentials
        self._credentials: dict[str, dict[str, Any]] = {}
        one = rf"{CREDENTIALS}/(?P<client_id>[^/]+)"
        routes: list[Route] = [
            ("POST", CREDENTIALS, self._create),
            ("GET", CREDENTIALS, self._list),
            ("GET", one, self._show),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
        ]
        self._routes = Routes(routes, error=_no_route)

    def answer(self, request: RecordedRequest, bc_token: str) -> Answer:
        """What a request to this API gets.

        Args:
            request: The request.
            bc_token: The one that counts at this moment.
        """
        self._ledger.learn({"client_secret": bc_token})
        scheme, _, given = (request.header("Authorization") or "").partition(" ")
        if scheme != "BC_TOKEN" or not secrets.compare_digest(given.encode(), bc_token.encode()):
            return json_answer(401, {"error": "access_denied", "error_description": DENIED})
        return self._routes.answer(request)

    def known(self) -> list[dict[str, Any]]:
        """The credentials in the order they were made, without their secrets."""
        with self._lock:
            return [dict(members) for members in self._credentials.values()]

    def _create(self, request: RecordedRequest) -> Answer:
        given = json_object(request)
        if wrong := _wrong(given):
            return wrong
        client_id, secret = f"{uuid.uuid4()}", secrets.token_urlsafe(64)
        self._ledger.learn({"client_secret": secret})
        members = {
            **_told(given or {}),
            "client_id": client_id,
            "client_secret": None,
            "issued_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expires_at": None,
            "revoked": None,
            "trusted": None,
            "issued_to": "studio-user@example.com",
            "issued_user": 53_000_000_001,
            "redirect_url": None,
        }
        with self._lock:
            self._credentials[client_id] = members
        return json_answer(201, {**members, "client_secret": secret})

    def _list(self, request: RecordedRequest) -> Answer:
        wanted = {int(text) for text in query_of(request).get("origin_account_ids", "").split(",") if text.isdecimal()}
        if not wanted:
            return registration_error(400, "BAD_VALUE", "origin_account_ids is missing.")
        found = [one for one in self.known() if wanted & {scope["identity"]["account-id"] for scope in _scopes(one)}]
        return json_answer(200, found)

    def _show(self, _: RecordedRequest, client_id: str) -> Answer:
        with self._lock:
            members = self._credentials.get(client_id)
            return json_answer(200, members) if members else _no_credential()

    def _update(self, request: RecordedRequest, client_id: str) -> Answer:
        given = json_object(request)
        with self._lock:
            members = self._credentials.get(client_id)
            if members is None:
                return _no_credential()
            if wrong := _wrong(given):
                return wrong
            members.update(_told(given or {}))
            return json_answer(200, members)

    def _delete(self, _: RecordedRequest, client_id: str) -> Answer:
        with self._lock:
            return Answer(204) if self._credentials.pop(client_id, None) else _no_credential()


def _told(given: dict[str, object]) -> dict[str, object]:
    """What a request says about a credential: all of it, for nothing stays of what there was before."""
    name, description = given["name"], given.get("description") or None
    html = {"name_html": name, "description_html": description}
    return {"type": "credential", "name": name, "description": description, **html, "maximum_scope": _scopes(given)}


def _scopes(members: dict[str, Any]) -> list[dict[str, Any]]:
    scopes: list[dict[str, Any]] = members["maximum_scope"]
    return scopes


def _wrong(given: dict[str, object] | None) -> Answer | None:
    """What is answered to members that cannot be a credential."""
    if given is None:
        return registration_error(400, "BAD_VALUE", "The JSON could not be parsed.")
    if unknown := sorted(given.keys() - {"type", "name", "description", "maximum_scope"}):
        return registration_error(409, "ILLEGAL_FIELD", f"There is no field {unknown[0]}.")
    scopes, name = given.get("maximum_scope"), given.get("name")
    if given.get("type") != "credential" or not isinstance(name, str) or not name:
        return registration_error(409, "VALIDATION_ERROR", "type is credential, and name a text.")
    if not isinstance(scopes, list) or not scopes or not all(map(_is_scope, scopes)):
        return registration_error(409, "VALIDATION_ERROR", "maximum_scope lists accounts and their operations.")
    return None


def _is_scope(scope: object) -> bool:
    if not isinstance(scope, dict) or scope.keys() != {"identity", "operations"}:
        return False
    identity, operations = scope["identity"], scope["operations"]
    if not isinstance(identity, dict) or identity.keys() != {"type", "account-id"} or not isinstance(operations, list):
        return False
    is_account = type(identity["account-id"]) is int and identity["type"] in ACCOUNT_TYPES
    return is_account and bool(operations) and all(isinstance(one, str) for one in operations)


def _no_route(status: int) -> Answer:
    return registration_error(status, "RESOURCE_NOT_FOUND", "The api couldn't find the resource you requested")


def _no_credential() -> Answer:
    return _no_route(404)
