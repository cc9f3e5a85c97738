"""Device authorization (RFC 8628): a person signs in on another device, with a code that this one shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..budget import now
from ..documents import read_object, usable
from ..endpoints import HTTPRequest, HTTPResponse, refusal
from ..errors import InvalidResponseError, LoginRequired, OAuthError, ResponseError, TransportError, cleaned
from ..origin import Origin
from ..token import number

__all__ = ["DeviceAuthorization", "Pace", "read_device_authorization"]

INTERVAL = 5.0  # seconds between two polls, where the server says nothing (RFC 8628, section 3.2)
SLOWER = 5.0  # seconds that `slow_down` adds (section 3.5)
SHORTEST, LONGEST = 0.1, 300.0  # seconds
LONGEST_LIFE = 3600.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorization:
    """What a person needs to sign in elsewhere; texts are without control characters.

    Attributes:
        device_code: asks for the token.
        user_code: what the person types.
        verification_uri: where.
        verification_uri_complete: the same with the code in it, or None.
        expires_at: until when; moment of `budget.now`.
        interval: seconds between two polls.
    """

    device_code: str = field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_at: float
    interval: float


def read_device_authorization(
    response: HTTPResponse, request: HTTPRequest, insecure_origins: frozenset[Origin]
) -> DeviceAuthorization:
    """Read the answer of a device authorization endpoint (RFC 8628, section 3.2).

    Raises:
        TransportError, ResponseError, InvalidResponseError: there is none, and why.
    """
    error = refusal(response, request, "the device authorization")
    if error is not None:
        raise error
    members = read_object(response, request.place)
    lifetime = number(members.get("expires_in")) or 0.0
    if lifetime <= 0:
        raise InvalidResponseError(f"{request.place} does not say how long its device code can be used (expires_in)")
    interval = number(members.get("interval"))
    user_code = cleaned(_text(members, "user_code", request.place), limit=100)
    if not user_code:
        raise InvalidResponseError(f"{request.place} gave a user_code that cannot be typed")
    return DeviceAuthorization(
        device_code=_text(members, "device_code", request.place),
        user_code=user_code,
        verification_uri=_page(members, "verification_uri", request.place, insecure_origins),
        verification_uri_complete=_page(members, "verification_uri_complete", request.place, insecure_origins)
        if members.get("verification_uri_complete")
        else None,
        expires_at=now() + min(lifetime, LONGEST_LIFE),
        interval=min(max(INTERVAL if interval is None else interval, SHORTEST), LONGEST),
    )


def _text(members: Mapping[str, Any], name: str, url: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidResponseError(f"{url} gave no {name} that is text (RFC 8628, section 3.2)")
    return value


def _page(members: Mapping[str, Any], name: str, url: str, insecure_origins: frozenset[Origin]) -> str:
    """Give the URL of a page that is safe to show and to open, and leads where it seems to lead."""
    page = usable(_text(members, name, url), name, url, insecure_origins)
    if not page.isascii():
        raise InvalidResponseError(f"the {name} in {url} cannot be used: it holds characters beyond ASCII")
    return page


class Pace:
    """How long to wait between two polls (RFC 8628, section 3.5).

    Args:
        interval: seconds, as the server asked for.

    Attributes:
        pause: seconds until the next poll.
    """

    def __init__(self, interval: float) -> None:
        self.pause: float = interval
        self._interval = interval

    def after(self, error: OAuthError, user: str) -> None:
        """Go on after an answer that was no token.

        Raises:
            LoginRequired: the person said no, or did not come in time.
            OAuthError: the error itself, where asking again would not help.
        """
        if isinstance(error, TransportError):  # time-outs, 429 and 5xx: each time twice as long
            self.pause = min(max(self.pause * 2, error.retry_after or 0.0), LONGEST)
            return
        code = error.error if isinstance(error, ResponseError) else ""
        if code == "slow_down":
            self._interval = min(self._interval + SLOWER, LONGEST)
        elif code == "access_denied":
            raise LoginRequired(f"the sign-in was refused on the other device ({error})", reason="denied", user=user)
        elif code == "expired_token":
            raise LoginRequired("nobody signed in before the code expired", reason="timed_out", user=user)
        elif code != "authorization_pending":
            raise error
        self.pause = self._interval
