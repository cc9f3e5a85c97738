"""Calls to Brightcove's API for client credentials: authenticated by a BC_TOKEN, made once, read with care."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .. import transport
from ..documents import json_object
from ..endpoints import OWN_HEADERS, HTTPRequest, HTTPResponse, hidden, refusal
from ..errands import Errand
from ..errors import ConfigurationError, InvalidResponseError, OAuthError, ResponseError, TransportError

__all__ = ["StudioCalls", "credential_in", "credentials_in", "with_message"]

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_HINTS = {
    401: " The BC_TOKEN may have ended (it does when its user leaves Studio, and after 24 hours), or its user may not "
    "administer the accounts.",
    404: " There is no such credential, or the user of the BC_TOKEN cannot see it.",
}


class StudioCalls:
    """Makes calls in the name of somebody who is signed in to Studio.

    Args:
        bc_token: the cookie BC_TOKEN, or a callable that returns it, asked at each call.

    Raises:
        ConfigurationError: it cannot be one.
    """

    __slots__ = ("_bc_token",)

    def __init__(self, bc_token: str | Callable[[], str]) -> None:
        self._bc_token: str | Callable[[], object] = bc_token if callable(bc_token) else _checked(bc_token)

    def send(
        self, method: str, url: str, what: str, errand: Errand, members: Mapping[str, Any] | None = None
    ) -> HTTPResponse:
        """Make one exchange, and give the answer if it is a yes.

        Args:
            method: the HTTP method.
            url: where to.
            what: what it is to do, for messages: "create the credential x".
            errand: the budget and the library.
            members: the members of the JSON object to send.

        Raises:
            ResponseError: the server said no.
            TransportError, InvalidResponseError: no complete answer, or none of this API.
        """
        transport.warm_up(errand.via.library)
        errand.budget.phase = "asking for the BC_TOKEN"
        bc_token = self._current_token()
        headers, body = {**OWN_HEADERS, "Authorization": f"BC_TOKEN {bc_token}"}, b""
        if members is not None:
            headers["Content-Type"], body = "application/json", json.dumps(members).encode("ascii")
        request = HTTPRequest(method=method, url=url, headers=headers, body=body, secrets=hidden(bc_token))
        response = transport.send(request, via=errand.via, budget=errand.budget)
        if response.status in (200, 201, 204):
            return response
        raise _refused(refusal(response, request) or _no_credential(response, url), what)

    def _current_token(self) -> str:
        if not callable(self._bc_token):
            return self._bc_token
        try:
            bc_token = self._bc_token()
        except Exception as error:  # noqa: BLE001 - it is the user's code: whatever it raises is told as one error
            failure = f"the callable given as bc_token= failed: {type(error).__name__}"
        else:
            return _checked(bc_token)
        raise ConfigurationError(failure)  # outside the handler: the user's exception may hold the token


def credential_in(response: HTTPResponse, url: str) -> dict[str, Any]:
    """Give the members of the credential that an answer tells about.

    Raises:
        InvalidResponseError: there is none.
    """
    members = json_object(response.body)
    if members is None or not isinstance(members.get("client_id"), str):
        raise _no_credential(response, url)
    return members


def credentials_in(response: HTTPResponse, url: str) -> list[dict[str, Any]]:
    """Give the members of each credential in a list.

    Raises:
        InvalidResponseError: it is none.
    """
    try:
        found = json_object(json.dumps({"found": json.loads(response.body)}).encode("ascii"))
    except (ValueError, RecursionError):
        found = None
    items = found and found["found"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidResponseError(f"{url} gave no list of credentials", status=response.status)
    return items


def with_message(error: OAuthError, message: str) -> OAuthError:
    """Give the same error with another message."""
    again = error.copied()
    again.args = (message,)
    return again


def _refused(error: OAuthError, what: str) -> OAuthError:
    """Say in words of this API what the server has refused."""
    status = getattr(error, "status", None)
    if isinstance(error, ResponseError):
        said = ": ".join(filter(None, (error.error, error.error_description)))
        message = f"Brightcove did not {what}. It answered {status}: {said}."
    elif isinstance(error, TransportError):
        message = f"Brightcove could not {what}. It answered {status}; try again later."
    else:
        message = f"Brightcove did not {what}. It answered {status}, and nothing that can be understood."
    return with_message(error, f"{message}{_HINTS.get(status or 0, '')}")


def _no_credential(response: HTTPResponse, url: str) -> InvalidResponseError:
    message = f"{url} answered {response.status} with something that is no credential"
    return InvalidResponseError(message, status=response.status)


def _checked(bc_token: object) -> str:
    if not isinstance(bc_token, str):
        raise ConfigurationError(f"the BC_TOKEN has to be text, not {type(bc_token).__name__}")
    if not _HEADER_SAFE.fullmatch(bc_token.strip()):
        raise ConfigurationError("the BC_TOKEN is empty, or holds characters that no cookie has")
    return bc_token.strip()
