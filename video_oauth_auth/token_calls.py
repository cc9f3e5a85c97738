"""Token calls of one source: one exchange after the other inside a budget, and what is remembered of failed ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .attempt import Attempt
from .budget import now
from .client import ClientCredential, OAuthClient
from .client_calls import ClientCalls, is_enough
from .discovery import Directory
from .endpoints import Parameters, read_token
from .errors import InvalidResponseError, OAuthError, ResponseError, TransportError
from .token import Token

__all__ = ["TokenCalls"]

FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0  # seconds between two tries
TRIES_WHEN_HOPELESS = 3
PROBE_FIRST, PROBE_AT_MOST = 60.0, 600.0  # seconds until a refused call is tried once more
PRESENTED_AT_MOST, PRESENTED_WITHIN = (
    3,
    15.0,
)  # a refresh token whose answer was lost; servers allow repeats briefly
LOST_FIRST, LOST_AT_MOST = 15.0, 300.0  # seconds until it is presented once more after that

Presented = tuple[ClientCredential, str | None]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The server said no to exactly this; asking again would give the same answer."""

    error: OAuthError
    presented: Presented
    delay: float
    probe_at: float


@dataclass(frozen=True, slots=True)
class _Lost:
    """A refresh token was sent and no answer came: the server may have used it up.

    Attributes:
        refresh_token: which one.
        first_at: when its answer was lost first.
        times: how often it was presented in vain.
        next_at: when it may be presented again, once the quick tries are over.
    """

    refresh_token: str
    first_at: float
    times: int
    next_at: float

    @property
    def may_be_presented(self) -> bool:
        quick = self.times < PRESENTED_AT_MOST and now() - self.first_at <= PRESENTED_WITHIN
        return quick or now() >= self.next_at


class TokenCalls:
    """Makes token calls.

    Args:
        directory: knows where the token endpoint is and which client authentication it takes.
        client: who asks.
    """

    __slots__ = ("_calls", "_client", "_directory", "_lost", "_not_before", "_refusal")

    def __init__(self, directory: Directory, client: OAuthClient) -> None:
        self._calls = ClientCalls(directory, client)
        self._directory = directory
        self._client = client
        self.forget()

    def forget(self) -> None:
        """Forget every failure."""
        self._refusal: _Refusal | None = None
        self._lost: _Lost | None = None
        self._not_before = 0.0

    def pause(self, seconds: float) -> None:
        """Make no call for that long."""
        self._not_before = now() + seconds

    def make(
        self,
        parameters: Parameters,
        attempt: Attempt,
        *,
        refresh_token: str | None = None,
        outdated: Callable[[], bool],
    ) -> tuple[Token, float]:
        """Ask until there is an answer, as long as asking again is allowed and sensible.

        Args:
            parameters: the form parameters.
            attempt: whose budget it is.
            refresh_token: the refresh token among the parameters, if there is one.
            outdated: tells whether the store has another refresh token by now; asked before one is repeated.

        Returns:
            The token, and the moment (of `budget.now`) when the request for it was sent.

        Raises:
            ResponseError: the server said no, now or before to the same question.
            TransportError, InvalidResponseError: no usable answer within the budget.
        """
        self._check_waiting_time(attempt)
        self._check_lost(refresh_token)
        tries, secret_asked_again = 0, False
        attempt.budget.phase = "asking for the client's secret"
        credential = self._client.current()
        while True:
            tries += 1
            self._check_refusal((credential, refresh_token))
            failed: TransportError | InvalidResponseError
            try:
                answer = self._call(credential, parameters, attempt)
            except ResponseError as error:
                if error.error == "invalid_client" and not secret_asked_again:
                    secret_asked_again = True
                    before, credential = credential, self._client.current()
                    if credential != before:
                        continue
                self._remember(error, (credential, refresh_token))
                raise
            except (TransportError, InvalidResponseError) as error:
                failed = error
            else:
                self.forget()
                return answer
            if isinstance(failed, TransportError) and failed.status is None and failed.sent:
                self._note_lost(refresh_token)
            if self._must_not_repeat(outdated):
                raise failed
            self._pause(failed, tries, attempt)
            # The pause may have led out of the quick tries, or have been longer than it should be.
            if self._must_not_repeat(outdated) or not is_enough(attempt.budget):
                raise failed

    def _call(self, credential: ClientCredential, parameters: Parameters, attempt: Attempt) -> tuple[Token, float]:
        attempt.grant_type = str(parameters["grant_type"])
        issued_at, sent_at = time.time(), now()
        request, response = self._calls.send("token_endpoint", parameters, attempt, credential=credential)
        issuer = self._directory.current(attempt.via, attempt.budget).issuer
        return replace(read_token(response, request, issued_at=issued_at), issued_by=issuer), sent_at

    def _pause(self, failed: TransportError | InvalidResponseError, tries: int, attempt: Attempt) -> None:
        delay = min(FIRST_DELAY * 2 ** (tries - 1), LONGEST_DELAY) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        if failed.retry_after is not None:
            delay = max(delay, failed.retry_after)
            self.pause(delay)
        hopeless = isinstance(failed, InvalidResponseError) or failed.lasting
        if (hopeless and tries >= TRIES_WHEN_HOPELESS) or not is_enough(attempt.budget, after=delay):
            raise failed
        attempt.budget.sent = False  # there is nothing to save
        attempt.budget.phase = f"waiting {delay:.1f} s before the next try ({failed})"
        time.sleep(delay)

    def _check_waiting_time(self, attempt: Attempt) -> None:
        """Keep to the Retry-After of an earlier renewal."""
        wait = self._not_before - now()
        if wait <= 0:
            return
        if not attempt.waiters or wait >= attempt.budget.remaining():
            raise TransportError(
                f"no token call to {self._directory.name} is allowed for another {wait:.0f} s, after its last answer",
                sent=False,
                retry_after=wait,
            )
        time.sleep(wait)

    # --- refused ------------------------------------------------------------------------------------------------

    def _check_refusal(self, presented: Presented) -> None:
        refusal = self._refusal
        if refusal is not None and refusal.presented == presented and now() < refusal.probe_at:
            raise refusal.error.copied()

    def _remember(self, error: ResponseError, presented: Presented) -> None:
        before = self._refusal
        again = before is not None and before.presented == presented
        delay = min(before.delay * 2, PROBE_AT_MOST) if before is not None and again else PROBE_FIRST
        self._refusal = _Refusal(error.copied(), presented, delay, now() + delay)

    # --- lost ---------------------------------------------------------------------------------------------------

    def _check_lost(self, refresh_token: str | None) -> None:
        lost = self._lost
        if lost is None or lost.refresh_token != refresh_token:
            self._lost = None
        elif not lost.may_be_presented:
            wait = max(lost.next_at - now(), 0.0)
            raise TransportError(
                f"the answer of {self._directory.name} to a refresh was lost; the refresh token is kept and will be "
                f"presented again in {wait:.0f} s",
                retry_after=wait,
            )

    def _note_lost(self, refresh_token: str | None) -> None:
        if refresh_token is not None:
            times = 1 if self._lost is None else self._lost.times + 1
            first_at = now() if self._lost is None else self._lost.first_at
            delay = min(LOST_FIRST * 2.0 ** max(times - PRESENTED_AT_MOST, 0), LOST_AT_MOST)
            self._lost = _Lost(refresh_token, first_at, times, now() + delay)

    def _must_not_repeat(self, outdated: Callable[[], bool]) -> bool:
        return self._lost is not None and (not self._lost.may_be_presented or outdated())
