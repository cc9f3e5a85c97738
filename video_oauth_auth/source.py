"""TokenSource: which token is used now, and who waits for the next one. What changes in it is in `state.py`."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as NotDone
from functools import partial
from typing import Literal, NoReturn

from . import workers
from .attempt import Attempt, Outcome
from .budget import Budget, now
from .client import OAuthClient
from .discovery import WebFinger
from .errands import Errand
from .errors import ConfigurationError, Library, LoginRequired, OAuthError, TransportError, unexpected
from .events import Event
from .freshness import Held
from .grants import Grant
from .renewal import Renewer
from .reporting import Reporter, Status
from .server import AuthorizationServer
from .settings import SourceSettings
from .state import GRACE, SourceState
from .stores import MemoryStore, StoreKey, TokenStore
from .token import GivenToken, Token, given_token
from .transport import Via, runs_on_caller
from .waiting import done_within

__all__ = ["TokenSource"]

logger = logging.getLogger("video_oauth_auth")

LOCK_AT_LEAST = 5.0  # seconds to wait for the store's lock with what a sign-in has brought


class _ThisThread(threading.local):
    """The sources that this thread is renewing: one that asked itself for a token would wait for itself."""

    def __init__(self) -> None:
        self.renewing: set[TokenSource] = set()


_this_thread = _ThisThread()


class TokenSource:
    """Always has a token that the server accepts: fetches it, renews it ahead of its end, shares it.

    One object serves any number of threads, tasks, event loops and HTTP libraries at once. Making one does no I/O.

    Args:
        server: the authorization server: its issuer (an URL, discovered when first needed) or its metadata.
        client: who asks for tokens.
        grant: by what right; None for tokens that come from elsewhere and can only be refreshed.
        store: where tokens outlive this object and where processes meet; private memory if not given.
        user: whose token it is, where one program serves several people.
        token: a token to begin with: a `Token`, the mapping that a token endpoint gave (a `refresh_token` alone will
            do), or the access token as text (used until a 401). What the store has wins over it.
        renew_ahead: seconds before its end from which a token is renewed, but never more than a fifth of its life.
        token_timeout: seconds that a renewal may take, everything included.
        http_client: a `requests.Session`, `httpx.Client` or `httpx2.Client` whose transports, TLS and proxy settings
            the token calls use.
        insecure_origins: origins such as `http://keycloak:8080` that may be used without TLS.
        on_event: called with each event, on the thread where it happens.

    Raises:
        ConfigurationError: the arguments cannot work together.
        InsecureTransportError: the token endpoint is neither https, nor loopback, nor listed.
    """

    __slots__ = ("__weakref__", "_renewer", "_state", "key", "reporter", "settings")

    def __init__(
        self,
        server: AuthorizationServer | WebFinger | str,
        client: OAuthClient,
        grant: Grant | None,
        *,
        store: TokenStore | None = None,
        user: str = "",
        token: GivenToken | None = None,
        renew_ahead: float = 60.0,
        token_timeout: float = 30.0,
        http_client: object | None = None,
        insecure_origins: Iterable[str] = (),
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        settings = SourceSettings.checked(
            server,
            client,
            grant,
            store=store,
            renew_ahead=renew_ahead,
            token_timeout=token_timeout,
            http_client=http_client,
            insecure_origins=insecure_origins,
            on_event=on_event,
        )
        seed = None if token is None else given_token(token)
        if store is not None or seed is None:
            self._begin(settings, user, seed=seed, held=None)
        else:
            self._begin(settings, user, seed=None, held=settings.hold(seed))
            with settings.store.transaction(self.key, timeout=0.0) as entry:
                entry.save(seed)

    def _begin(self, settings: SourceSettings, user: str, *, seed: Token | None, held: Held | None) -> None:
        self.settings: SourceSettings = settings
        self.key: StoreKey = settings.key(user)
        self.reporter: Reporter = Reporter(self.key, settings.on_event)
        self._state = SourceState(held, settings.via, settings.token_timeout)
        warn = partial(_warn_of_twins, self._state, settings.store)  # leads not back here: a source dies with its users
        self._renewer = Renewer(settings, self.key, seed=seed, before_refresh=warn)

    def for_user(self, user: str) -> TokenSource:
        """Make a source for another person's token with the same settings, store and limits."""
        source = object.__new__(type(self))
        source._begin(self.settings, user, seed=None, held=None)
        return source

    # --- which token --------------------------------------------------------------------------------------------

    def get_token(self, *, rejected: Token | str | None = None) -> Token:
        """Give a token to use now, and block while there is none.

        Args:
            rejected: a token to which an API has said 401: a newer one is fetched, unless another caller has done so
                already. The same token comes back where a renewal would be futile just now.

        Raises:
            OAuthError: there is none; the class says who must act.
        """
        token = self.fresh() if rejected is None else None
        return token or self.wait(rejected=rejected)

    async def aget_token(self, *, rejected: Token | str | None = None) -> Token:
        """Do the same as `get_token` without blocking the event loop (asyncio or trio)."""
        token = self.fresh() if rejected is None else None
        return token or await self.await_token(rejected=rejected)

    def fresh(self) -> Token | None:
        """Give the token if it is fresh: one reference read, one clock read."""
        held = self._state.held
        return held.token if held is not None and now() < held.fresh_until else None

    def peek(self) -> Token | None:
        """Give the token in memory, whatever its state; never does I/O."""
        held = self._state.held
        return None if held is None else held.token

    def wait(self, *, rejected: Token | str | None = None, library: Library = "httpx", patient: bool = False) -> Token:
        """Give a token, and wait for the renewal where one is needed.

        Args:
            rejected: a token to which an API has said 401.
            library: whose request needs it; makes the token calls if no `http_client=` was given.
            patient: True to wait also while the token is only stale.
        """
        rejected = _token(rejected)
        while True:
            self._check_not_renewing()
            token, attempt, mine = self._state.next(rejected, library, patient=patient)
            if mine is not None:
                self._start(mine, on_caller=runs_on_caller(mine.via.library) or workers.is_worker())
            if attempt is None:
                return _given(token)
            try:
                outcome = attempt.outcome.result(timeout=max(attempt.budget.remaining(), 0.0) + GRACE)
            except NotDone:
                outcome = _out_of_time(attempt)
            if outcome is not None:
                return self._result(outcome, rejected)

    async def await_token(
        self, *, rejected: Token | str | None = None, library: Library = "httpx", patient: bool = False
    ) -> Token:
        """Do the same as `wait` without blocking the event loop."""
        rejected = _token(rejected)
        while True:
            self._check_not_renewing()
            token, attempt, mine = self._state.next(rejected, library, patient=patient)
            if mine is not None:
                self._start(mine, on_caller=False)
            if attempt is None:
                return _given(token)
            done = await done_within(attempt.outcome, max(attempt.budget.remaining(), 0.0) + GRACE)
            outcome = attempt.outcome.result() if done else _out_of_time(attempt)
            if outcome is not None:
                return self._result(outcome, rejected)

    def _result(self, outcome: Token | OAuthError, rejected: Token | None) -> Token:
        if isinstance(outcome, Token):
            return outcome
        held = self._state.held
        if held is not None and held.token != rejected and now() < held.usable_until:
            return held.token  # the renewal failed, but there is still time
        raise outcome.copied()

    # --- the renewal --------------------------------------------------------------------------------------------

    def _start(self, attempt: Attempt, *, on_caller: bool) -> None:
        job: Callable[[], object] = partial(contextvars.copy_context().run, self._run, attempt)
        try:
            if on_caller:
                job()
            elif not workers.submit(job):
                if attempt.waiters and not _in_event_loop():
                    job()
                else:
                    self._end(attempt, TransportError("no thread could be started for the renewal", sent=False))
        except BaseException:  # Ctrl-C in between: the attempt must not wait for a worker that will never come
            if not attempt.outcome.done() and attempt.budget.phase == Budget.FIRST_PHASE:
                self._end(attempt, None)
            raise

    def _run(self, attempt: Attempt) -> None:
        outcome: Outcome = None
        _this_thread.renewing.add(self)
        try:
            outcome = self._renewer.renew(attempt)
        except OAuthError as error:
            outcome = error.copied()
        except BaseException as error:
            outcome = unexpected(error, "the renewal")
            if not isinstance(error, Exception):
                raise  # on a caller's own thread, where it may be a Ctrl-C
        finally:
            self._end(attempt, outcome)
            _this_thread.renewing.discard(self)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Tell everybody: those who listen to events first, so that they know before anybody goes on."""
        try:
            self.reporter.ended(attempt, outcome)
        finally:
            self._state.ended(attempt, outcome)
            if not attempt.outcome.done():
                attempt.outcome.set_result(outcome)

    # --- what an auth object reports ----------------------------------------------------------------------------

    def replayed(self, token: Token, *, accepted: bool) -> bool:
        """Take note of a replay's answer; tell whether it is the first sign that renewing does not help."""
        return self._state.replayed(token, accepted=accepted)

    def reject(self, token: Token) -> None:
        """Take note of a 401 that could not be answered: the next caller gets a newer token."""
        self._state.reject(token)

    # --- signing in and out -------------------------------------------------------------------------------------

    def errand(self, at_most: float = math.inf) -> Errand:
        """Give what work for this source is done with besides renewals; it has `at_most` that many seconds."""
        return Errand(min(self.settings.token_timeout, at_most), self._state.via or Via("httpx"))

    def keep(self, token: Token, errand: Errand) -> None:
        """Use the token of a sign-in from now on, and save it; where that fails it serves this process."""
        # A renewal that holds the lock will end within its own time, and must not meet a token that came past it.
        self._renewer.keep(token, self.settings.token_timeout + LOCK_AT_LEAST, self._become)
        self.reporter.signed_in(errand, saved=self._renewer.keeper.unsaved is None)

    def end(self, revoke: Callable[[Token], bool], errand: Errand) -> bool:
        """Forget the token, and have it revoked; tells whether the server knows."""
        return self._renewer.end(revoke, max(errand.budget.remaining(), LOCK_AT_LEAST), self._become)

    def has_unsaved(self) -> bool:
        """Tell whether there is a token that the store could not keep yet."""
        return self._renewer.keeper.unsaved is not None

    def known(self) -> Token | None:
        """Give the token in memory or else in the store, whatever its state; may block."""
        return self.peek() or self._renewer.known()

    # --- by hand ------------------------------------------------------------------------------------------------

    def set(self, token: GivenToken) -> None:
        """Use this token from now on: save it, and forget every failure.

        Raises:
            StoreError: the store could not be locked in time.
        """
        self._replace(given_token(token))

    def reset(self) -> None:
        """Forget the token, in the store too, and every failure: the next caller begins anew.

        Raises:
            StoreError: the store could not be locked in time.
        """
        self._replace(None)

    def _replace(self, token: Token | None) -> None:
        self._renewer.replace(token, self.settings.token_timeout, self._become)

    def _become(self, held: Held | None) -> None:
        self.reporter.last_error = None
        self._state.become(held)

    def status(self) -> Status:
        """Tell how it is going; looks into the store once if nothing is in memory yet."""
        held = self._state.held
        if held is None and (stored := self._renewer.keeper.stored()) is not None:
            held = self.settings.hold(stored)
        moment = now()
        error = self.reporter.last_error and self.reporter.last_error.copied()
        state: Literal["none", "fresh", "stale", "expired", "login_required"] = "none"
        if held is not None:
            state = "fresh" if moment < held.fresh_until else "stale" if moment < held.usable_until else "expired"
        if isinstance(error, LoginRequired) and (held is None or state == "expired" or held.suspect):
            state = "login_required"
        return Status(
            state=state,
            expires_at=None if held is None else held.token.expires_at,
            last_renewal_at=self.reporter.last_renewal_at,
            last_error=error,
        )

    def __repr__(self) -> str:
        user = f", user={self.key.user!r}" if self.key.user else ""
        return f"<{type(self).__name__} of {self.key.client_id!r} at {self.key.issuer}{user}>"

    def __copy__(self) -> TokenSource:
        return self

    def __deepcopy__(self, _: object) -> TokenSource:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: build it in the worker process, with a shared store="
        )

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_not_renewing(self) -> None:
        if self in _this_thread.renewing:
            raise ConfigurationError(
                f"the renewal of {self!r} asks for its own token. Something that runs inside it (a secret callable, "
                f"a log handler, an on_event function) makes a request with this very auth object"
            )


def _warn_of_twins(state: SourceState, store: TokenStore) -> None:
    if state.inherited and isinstance(store, MemoryStore):
        state.inherited = False
        logger.warning(
            "this process was forked and spends a refresh token that its parent has too. Servers that rotate refresh "
            "tokens take the second use for theft: give both a shared store= such as FileStore, or sign in after the "
            "fork"
        )


def _token(rejected: Token | str | None) -> Token | None:
    return Token(access_token=rejected) if isinstance(rejected, str) else rejected


def _given(token: Token | None) -> Token:
    assert token is not None  # noqa: S101 - _next gives a token or an attempt
    return token


def _out_of_time(attempt: Attempt) -> TransportError:
    budget = attempt.budget
    return TransportError(
        f"no token within {budget.seconds:g} s (token_timeout): still {budget.phase}", sent=budget.sent
    )


def _in_event_loop() -> bool:
    import asyncio

    return asyncio._get_running_loop() is not None
