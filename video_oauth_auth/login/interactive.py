"""A sign-in for scripts: the browser of the person at this machine, or a code for another device."""

from __future__ import annotations

import math
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from ..budget import now
from ..errors import ConfigurationError, LoginRequired, OAuthError, cleaned
from ..origin import Origin
from ..token import Token
from .authorization import AuthorizationRequest, belongs_to
from .browser import checked_authorization_url, open_in_browser
from .device import DeviceAuthorization, Pace
from .receiver import LoopbackReceiver, is_loopback_redirect

__all__ = ["ANY_PORT", "AnyOf", "Cancel", "Opener", "Person", "in_browser", "on_device"]

ANY_PORT = "http://127.0.0.1:0/callback"  # where the grant names no redirect URI
LOOK = 0.2  # seconds between two looks at everything that may end the wait
TELL_EVERY = 60.0  # seconds between two lines with the time left; half of the time, where that is shorter

Opener = Callable[[str], object]


class Cancel(Protocol):
    """What tells that nobody wants the sign-in any more: a `threading.Event`, for example."""

    def is_set(self) -> bool: ...


class AnyOf:
    """Set once it was set itself, or once the user's own event is."""

    def __init__(self, other: Cancel | None) -> None:
        self._other = other
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set or (self._other is not None and self._other.is_set())


@dataclass(slots=True, kw_only=True)
class Person:
    """How to reach the person who is to sign in, and for how long.

    Attributes:
        open_browser: opens a URL; None for the browser of this machine, False for none.
        timeout: seconds that the person has.
        cancel: ends the wait once it is set; None for nothing.
        notify: takes each line for the person; None for stderr, if there is one.
        user: whose sign-in it is, for errors.
        causes: what may be the reason where nobody signs in.
        reminder: what helps a person who sees nothing to sign in with.
    """

    open_browser: Opener | bool | None
    timeout: float
    cancel: Cancel | None
    notify: Callable[[str], object] | None
    user: str
    causes: str = field(default="", init=False)
    reminder: str = field(default="", init=False, repr=False)  # it has the state in it
    _ends_at: float = field(default=0.0, init=False)
    _told_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        is_number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if not is_number or not 0 < self.timeout < math.inf:
            raise ConfigurationError(f"timeout= is a number of seconds above 0; not {self.timeout!r}")
        if self.open_browser is True or not (self.open_browser in (None, False) or callable(self.open_browser)):
            raise ConfigurationError("open_browser= takes a function that opens a URL, or False for none")
        if self.notify is not None and not callable(self.notify):
            raise ConfigurationError("notify= has to be callable")
        self._ends_at = now() + self.timeout
        self._told_at = now()

    def tell(self, text: str) -> None:
        """Say something to the person."""
        if self.notify is not None:
            self.notify(text)
        elif sys.stderr is not None:
            with suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()

    def still_waits(self) -> None:
        """Go on waiting, and say now and then how much time is left.

        Raises:
            LoginRequired: cancelled, or the time is over.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise LoginRequired("the sign-in was cancelled", reason="cancelled", user=self.user)
        left = self.left
        if left <= 0:
            raise LoginRequired(
                f"nobody signed in within {self.timeout:g} s. {self.causes}", reason="timed_out", user=self.user
            )
        if now() - self._told_at >= min(TELL_EVERY, self.timeout / 2):
            self._told_at = now()
            seconds = max(int(left), 1)
            self.tell(f"Still waiting for the sign-in, {seconds // 60}:{seconds % 60:02} left.{self.reminder}")

    @property
    def left(self) -> float:
        """The seconds that the person still has."""
        return max(self._ends_at - now(), 0.0)

    @contextmanager
    def alone(self, lock: threading.Lock) -> Iterator[None]:
        """Ask one after the other: threads that need the same sign-in shall not open a window each.

        Raises:
            LoginRequired: cancelled, or the time is over.
        """
        held = False
        try:
            while not (held := lock.acquire(timeout=LOOK)):
                self.still_waits()
            yield
        finally:
            if held:
                lock.release()

    def pause(self, seconds: float) -> None:
        """Wait, as long as it makes sense to.

        Raises:
            LoginRequired: cancelled, or the time is over.
        """
        until = now() + seconds
        while True:
            self.still_waits()
            if (left := until - now()) <= 0:
                return
            time.sleep(min(left, LOOK))

    def open(self, url: str, insecure_origins: frozenset[Origin]) -> bool:
        """Open a URL, if there is a browser to open it."""
        if self.open_browser is False:
            return False
        opener = self.open_browser if callable(self.open_browser) else None
        return open_in_browser(url, opener, insecure_origins=insecure_origins)


def in_browser(
    begin: Callable[[str], AuthorizationRequest],
    redirect_uri: str,
    person: Person,
    insecure_origins: frozenset[Origin],
) -> tuple[AuthorizationRequest, str]:
    """Let the person sign in in a browser; gives the request and the query of its answer.

    Args:
        begin: begins the sign-in for a redirect URI.
        redirect_uri: where the answer comes to; port 0 of a loopback address for a free one.
        person: who signs in.
        insecure_origins: origins that may be used without TLS.

    Raises:
        LoginRequired: cancelled, or out of time.
        ConfigurationError: the answer could not come back, or the URL is none that may be opened.
    """
    is_served = is_loopback_redirect(redirect_uri)
    if not is_served and not _is_terminal():
        raise ConfigurationError(
            f"this program cannot serve redirect_uri={redirect_uri}, and there is no terminal to paste the answer "
            f"into: use a redirect URI such as {ANY_PORT}, or begin_login() and complete_login()"
        )
    with ExitStack() as stack:
        receiver = stack.enter_context(LoopbackReceiver(redirect_uri)) if is_served else None
        request = begin(receiver.redirect_uri if receiver else redirect_uri)
        url = checked_authorization_url(request.url, insecure_origins=insecure_origins)
        person.causes = (
            f"The page may have been closed, or the password was wrong, or redirect_uri={request.redirect_uri} is not "
            f"registered for the client {request.client_id}"
        )
        person.still_waits()  # not cancelled meanwhile: no window opens for nobody
        opened = person.open(url, insecure_origins)
        pastes = not (opened and receiver) and _is_terminal()
        if opened and not pastes:
            person.tell(f"A browser window is open: sign in there, at {request.issuer}.")
            person.reminder = f" If there is no window, sign in with a browser on this machine, at\n\n    {url}\n"
        else:
            person.tell(_instruction(url, request.redirect_uri, pastes=pastes))
        return request, _answer(request, receiver, person, pastes=pastes)


def _instruction(url: str, redirect_uri: str, *, pastes: bool) -> str:
    if not pastes:
        return f"Sign in with a browser on this machine, at\n\n    {url}\n\nIt comes back to {redirect_uri}."
    return (
        f"Sign in with any browser, at\n\n    {url}\n\n"
        f"Then copy the address that it ends at ({redirect_uri}?...),\n"
        f"even if the browser cannot show that page, and paste it here:"
    )


def _answer(request: AuthorizationRequest, receiver: LoopbackReceiver | None, person: Person, *, pastes: bool) -> str:
    while True:
        person.still_waits()
        if receiver is None:
            time.sleep(LOOK)
        elif (query := receiver.receive(lambda query: belongs_to(request, f"?{query}"), LOOK)) is not None:
            return f"?{query}"
        if pastes and (line := _pasted()):
            if belongs_to(request, line):
                return line
            person.tell(f"That is not the answer to this sign-in. Paste all of the address, {request.redirect_uri}?...")


def _is_terminal() -> bool:
    """Tell whether a person can paste something; on Windows a program cannot look whether they have."""
    try:
        return sys.platform != "win32" and all(
            stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)
        )
    except ValueError:  # it has been closed
        return False


def _pasted() -> str:
    """Give the line that stands ready on the terminal, or nothing."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        return sys.stdin.readline().strip() if ready else ""
    except (OSError, ValueError):  # the terminal has gone, or what came is no text
        return ""


def on_device(
    authorization: DeviceAuthorization, poll: Callable[[], Token], person: Person, insecure_origins: frozenset[Origin]
) -> Token:
    """Let the person sign in on another device (RFC 8628); gives the tokens.

    Args:
        authorization: what the person needs for it.
        poll: asks for the tokens once.
        person: who signs in.
        insecure_origins: origins that may be used without TLS.

    Raises:
        LoginRequired: refused, cancelled, or out of time.
        OAuthError: the server said no.
    """
    person.causes = "The code was not entered, or the sign-in with it was not finished"
    person.still_waits()  # not cancelled meanwhile
    if callable(person.open_browser):
        person.open(authorization.verification_uri_complete or authorization.verification_uri, insecure_origins)
    person.tell(_device_instruction(authorization))
    pace = Pace(authorization.interval)
    while True:
        person.pause(min(pace.pause, authorization.expires_at - now()))
        if now() >= authorization.expires_at:
            raise LoginRequired("nobody signed in before the code expired", reason="timed_out", user=person.user)
        failure: OAuthError
        try:
            return poll()
        except OAuthError as error:
            failure = error
        pace.after(failure, person.user)


def _device_instruction(authorization: DeviceAuthorization) -> str:
    told = (
        f"Sign in with any device: open\n\n    {cleaned(authorization.verification_uri)}\n\n"
        f"and enter the code\n\n    {authorization.user_code}\n"
    )
    if authorization.verification_uri_complete:
        told += f"\nor open\n\n    {cleaned(authorization.verification_uri_complete)}\n\nand compare the code.\n"
    return told
