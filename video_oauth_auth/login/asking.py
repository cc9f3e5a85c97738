"""Asking a person to sign in: when, by which way, and what they are told at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from ..errands import Errand, run
from ..errors import LoginRequired
from ..grants import DeviceCode
from ..source import TokenSource
from ..stores import MemoryStore
from ..token import Token
from .authorization import AuthorizationRequest
from .interactive import ANY_PORT, Person, in_browser, on_device
from .sign_in import SignIn

__all__ = ["ask", "usable"]

POLL = 5.0  # seconds that a poll has at least: it may bring the tokens in the last moment


def usable(source: TokenSource) -> Token | None:
    """Give the token of a sign-in that was there before; where there was none, nothing is reported as failed."""
    try:
        return None if source.known() is None else source.get_token()
    except LoginRequired:
        return None


def ask(
    source: TokenSource,
    sign_in: SignIn,
    person: Person,
    parameters: Mapping[str, str],
    *,
    force: bool,
    lock: threading.Lock,
    complete: Callable[[AuthorizationRequest, str], Token],
) -> Token:
    """Ask a person; gives their token.

    Args:
        source: which gives out their tokens.
        sign_in: says to the server what has to be said.
        person: who is asked.
        parameters: further parameters of the request.
        force: True to ask though another thread has asked meanwhile.
        lock: held while they are asked.
        complete: completes a sign-in in a browser.

    Raises:
        LoginRequired: the person said no, or did not come.
        OAuthError: the server could not be reached, or said no.
    """
    with person.alone(lock):
        if not force and (token := usable(source)) is not None:
            return token
        grant = source.settings.grant
        if isinstance(grant, DeviceCode):
            token = _on_device(source, sign_in, grant, person, parameters)
        else:
            token = _in_browser(source, sign_in, person, parameters, complete)
    store = source.settings.store
    if isinstance(getattr(store, "inner", store), MemoryStore):  # EncryptedStore has another store inside
        person.tell("Signed in until this program ends; a shared store=, such as FileStore(), keeps it.")
    else:
        person.tell("Signed in.")
    return token


def _in_browser(
    source: TokenSource,
    sign_in: SignIn,
    person: Person,
    parameters: Mapping[str, str],
    complete: Callable[[AuthorizationRequest, str], Token],
) -> Token:
    def begin(redirect_uri: str) -> AuthorizationRequest:
        return run(
            lambda errand: sign_in.begin(
                errand, redirect_uri=redirect_uri, user=source.key.user, user_of=None, parameters=parameters
            ),
            source.errand(person.left),
        )

    redirect_uri = sign_in.authorization_code().redirect_uri or ANY_PORT
    insecure_origins = source.settings.directory.insecure_origins
    return complete(*in_browser(begin, redirect_uri, person, insecure_origins))  # no name here: a frame would keep it


def _on_device(
    source: TokenSource, sign_in: SignIn, grant: DeviceCode, person: Person, parameters: Mapping[str, str]
) -> Token:
    begun = run(lambda errand: sign_in.begin_on_device(grant, parameters, errand), source.errand(person.left))

    def poll(errand: Errand) -> Token:
        token = sign_in.poll(grant, begun, errand)
        source.keep(token, errand)
        return token

    insecure_origins = source.settings.directory.insecure_origins
    return on_device(begun, lambda: run(poll, source.errand(max(person.left, POLL))), person, insecure_origins)
