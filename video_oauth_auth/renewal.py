"""The renewal: plain blocking code that runs on a worker, one at a time for each source.

Read `Renewer.renew` from top to bottom; it is the whole way: look into the store, take its lock, look again, ask the
server, save, publish. Nobody can cancel it, and its time is bounded by the budget of the attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from .attempt import Attempt
from .budget import now
from .endpoints import grant_parameters, refresh_parameters
from .errors import (
    InvalidResponseError,
    LoginReason,
    LoginRequired,
    OAuthError,
    ResponseError,
    StoreError,
    TransportError,
)
from .freshness import Held, held_since
from .keeping import Keeper, is_same
from .settings import SourceSettings
from .stores import Entry, StoreKey
from .token import Token
from .token_calls import TokenCalls
from .workers import finished_at_exit

__all__ = ["Renewer"]

logger = logging.getLogger("video_oauth_auth")

LOCK_SLICE = 0.2  # seconds between two looks into the store while somebody else holds its lock
UNTRUSTED_PAUSE = 60.0  # seconds until the next token call after an ID token that cannot be trusted

# Answers to a refresh after which a grant that needs no person is worth asking.
_REFRESH_IS_OVER = frozenset({"invalid_grant", "unauthorized_client", "unsupported_grant_type"})


class Renewer:
    """Gets newer tokens for one source.

    Args:
        settings: the settings of the source.
        key: under which name its token is kept.
        seed: the token to begin with where the store has none.
        before_refresh: called before a refresh token is spent.
    """

    __slots__ = ("_before_refresh", "_dead", "_key", "_seed", "_settings", "calls", "keeper")

    def __init__(
        self, settings: SourceSettings, key: StoreKey, *, seed: Token | None, before_refresh: Callable[[], None]
    ) -> None:
        self.calls: TokenCalls = TokenCalls(settings.directory, settings.client)
        self._settings = settings
        self._key = key
        self._seed = seed
        self._before_refresh = before_refresh
        self._dead: str | None = None  # the refresh token that the server called invalid_grant
        self.keeper: Keeper = Keeper(settings.store, key)

    # --- the way of a renewal -----------------------------------------------------------------------------------

    def renew(self, attempt: Attempt) -> Token | None:
        """Get a newer token than the held one, save it, publish it.

        Returns:
            The token; None if nobody waits and somebody else is at it.

        Raises:
            OAuthError: there is none, and why.
        """
        if attempt.budget.remaining() <= 0:
            raise TransportError(f"no worker was free within {attempt.budget.seconds:g} s (token_timeout)", sent=False)
        with finished_at_exit(attempt.budget), ExitStack() as stack:
            attempt.budget.phase = "reading the token store"
            if adopted := self._adopt(self.keeper.look(), attempt):
                return adopted
            try:
                locked = self._lock(stack, attempt)
            except TimeoutError:
                return None
            except StoreError as error:
                return self._without_store(error, attempt)
            return locked if isinstance(locked, Token) else self._renew_locked(*locked, attempt)

    def _renew_locked(self, entry: Entry, stored: Token | None, attempt: Attempt) -> Token:
        if token := self._adopt(stored, attempt) or self._save_again(stored, entry, attempt):
            return token
        base = self.keeper.unsaved.held.token if self.keeper.unsaved else stored
        if base is None and self._seed is not None:
            base = self._seed
            seeded = self._settings.hold(base)
            if attempt.reason == "first" and seeded.usable_until > now():
                return self._keep(seeded, entry, attempt)
        return self._keep(self._ask(base, stored, attempt, entry), entry, attempt)

    def _keep(self, held: Held, entry: Entry | None, attempt: Attempt) -> Token:
        """Save, then publish."""
        attempt.budget.phase = "saving the token"
        self._seed = None
        kept = self.keeper.save(held, entry)
        attempt.saved = self.keeper.unsaved is None
        attempt.budget.sent = False
        attempt.publish(kept)
        return kept.token

    def replace(self, token: Token | None, timeout: float, publish: Callable[[Held | None], None]) -> None:
        """Keep this token instead of what is stored, or nothing; forget every failure; publish it.

        Raises:
            StoreError: the store could not be locked within `timeout` seconds, or emptied.
        """
        with ExitStack() as stack:
            entry = self._locked(stack, timeout)
            if token is None:
                self.keeper.delete(entry)
            self._forget()
            publish(None if token is None else self.keeper.save(self._settings.hold(token), entry))

    def keep(self, token: Token, timeout: float, publish: Callable[[Held | None], None]) -> None:
        """Keep the token of a sign-in, whatever happens: nobody could sign in with the same code again."""
        try:
            self.replace(token, timeout, publish)
        except StoreError as error:
            self.keeper.warn("locked", error)
            self._forget()
            publish(self.keeper.save(self._settings.hold(token), None))

    def end(self, revoke: Callable[[Token], bool], timeout: float, publish: Callable[[Held | None], None]) -> bool:
        """Have the tokens revoked and keep nothing, even where that fails; tells whether the server knows.

        Raises:
            StoreError: the store could not be locked within `timeout` seconds, or emptied.
        """
        with ExitStack() as stack:
            entry = self._locked(stack, timeout)
            stored = self.keeper.look()  # what cannot be read can still be forgotten
            token = self.keeper.unsaved.held.token if self.keeper.unsaved else stored or self._seed
            told = False
            try:
                told = token is not None and revoke(token)
            except OAuthError as error:
                logger.warning("the sign-in is forgotten here, but the server could not be told: %s", error)
            finally:
                self._forget()
                publish(None)
                self.keeper.delete(entry)
            return told

    def _locked(self, stack: ExitStack, timeout: float) -> Entry:
        try:
            return self.keeper.lock(stack, timeout)
        except TimeoutError:
            raise StoreError(f"others held the lock of the stored token for {timeout:g} s", transient=True) from None

    def _forget(self) -> None:
        self._seed = self._dead = self.keeper.unsaved = None
        self.calls.forget()

    def known(self) -> Token | None:
        """Give the stored token, or the one to begin with.

        Raises:
            StoreError: the store cannot be read.
        """
        return self.keeper.stored() or self._seed

    # --- asking the server --------------------------------------------------------------------------------------

    def _ask(self, base: Token | None, stored: Token | None, attempt: Attempt, entry: Entry | None) -> Held:
        """Use the refresh token if there is a good one, else a grant that needs no person."""
        again = self._settings.unattended_grant
        reason: LoginReason = "never_signed_in" if base is None else "refresh_expired"
        if base is not None and base.refresh_token is not None:
            if base.refresh_token == self._dead:
                reason = "revoked"
            elif now() < self._refresh_until(base, attempt) and self._is_from_here(base, attempt):
                try:
                    return self._refresh(base, stored, attempt, entry)
                except ResponseError as error:
                    if error.error != "invalid_grant" and (again is None or error.error not in _REFRESH_IS_OVER):
                        raise
                    self._dead = base.refresh_token
                    reason = "revoked"
        if again is None:
            raise LoginRequired(_login_message(reason, self._key), reason=reason, user=self._key.user)
        token, sent_at = self.calls.make(grant_parameters(again), attempt, outdated=lambda: False)
        token = replace(token, scope=token.scope or again.scope)
        return held_since(token, sent_at, self._settings.renew_ahead, attempt.held)

    def _is_from_here(self, base: Token, attempt: Attempt) -> bool:
        """Tell whether a token's issuer is the one that we would ask: an API may name another one by now."""
        if base.issued_by is None:
            return True
        issuer = self._settings.directory.current(attempt.via, attempt.budget).issuer
        return issuer in (None, base.issued_by)

    def _refresh_until(self, base: Token, attempt: Attempt) -> float:
        held = attempt.held  # which knows better than the wall clock, if it is the same token
        return (held if held is not None and held.token == base else self._settings.hold(base)).refresh_until

    def _refresh(self, base: Token, stored: Token | None, attempt: Attempt, entry: Entry | None) -> Held:
        """Spend the refresh token of `base`; `stored` is what the store had when its lock was taken."""
        refresh_token = base.refresh_token or ""

        def rotated_by_sibling() -> Token | None:
            found = self.keeper.look()
            return found if found is not None and not is_same(found, stored) and found.refresh_token else None

        self._before_refresh()
        try:
            token, sent_at = self.calls.make(
                refresh_parameters(refresh_token, self._settings.grant),
                attempt,
                refresh_token=refresh_token,
                outdated=lambda: rotated_by_sibling() is not None,
            )
        except (ResponseError, TransportError):
            newer = rotated_by_sibling()
            if newer is None:
                raise
            found = self._settings.hold(newer)
            if found.usable_until <= now():
                return self._refresh(newer, newer, attempt, entry)
            attempt.adopted = True
            return found
        if token.refresh_token is None:
            token = replace(token, refresh_token=refresh_token, refresh_expires_at=base.refresh_expires_at)
        token = self._identified(replace(token, scope=token.scope or base.scope), base, attempt, entry)
        return held_since(token, sent_at, self._settings.renew_ahead, attempt.held)

    def _identified(self, token: Token, base: Token, attempt: Attempt, entry: Entry | None) -> Token:
        """Give a refreshed token with what is known of the person; a new ID token has to be about the same one."""
        if token.id_token is None:
            return replace(token, id_token=base.id_token, claims=base.claims)
        if base.claims is None:
            return token
        # The refresh token first, whatever becomes of the rest: it may be the only one left.
        ends_at = token.refresh_expires_at
        rotated = replace(base, refresh_token=token.refresh_token, refresh_expires_at=ends_at)
        self.keeper.save(self._settings.hold(rotated), entry)
        attempt.budget.phase = "checking the ID token"
        try:
            claims = self._settings.id_tokens.claims(
                token,
                server=self._settings.directory.current(attempt.via, attempt.budget),
                client_id=self._settings.client.client_id or "",
                via=attempt.via,
                budget=attempt.budget,
                first=base.claims,
            )
        except InvalidResponseError:
            self.calls.pause(UNTRUSTED_PAUSE)
            raise
        except TransportError:  # the keys cannot be had just now: what was verified before stays
            claims = None
        if claims is None:
            return replace(token, id_token=base.id_token, claims=base.claims)
        return replace(token, claims={**base.claims, **claims})

    # --- the store ----------------------------------------------------------------------------------------------

    def _lock(self, stack: ExitStack, attempt: Attempt) -> tuple[Entry, Token | None] | Token:
        """Take the entry's lock and read it, or give the token that a sibling saved while we waited.

        Raises:
            TimeoutError: the lock is taken, and nobody waits for us.
            StoreError: it cannot be had.
        """
        attempt.budget.phase = "waiting for the lock of the stored token"
        patience = now() + attempt.budget.remaining() / 2
        while True:
            try:
                return self.keeper.enter(stack, LOCK_SLICE if attempt.waiters else 0.0)
            except TimeoutError:
                if not attempt.waiters:
                    raise
            if adopted := self._adopt(self.keeper.look(), attempt):
                return adopted
            if now() > patience:
                waited = attempt.budget.spent()
                raise StoreError(f"others held the lock of the stored token for {waited:.0f} s", transient=True)

    def _adopt(self, stored: Token | None, attempt: Attempt) -> Token | None:
        """Take over a stored token that is another one than ours and good enough for this attempt."""
        held = attempt.held
        if stored is None or self.keeper.unsaved is not None or stored in (held and held.token, attempt.rejected):
            return None
        found = self._settings.hold(stored)
        if (found.fresh_until if attempt.reason == "stale" else found.usable_until) <= now():
            return None
        self._seed = None
        attempt.adopted = True
        attempt.publish(found)
        return stored

    def _save_again(self, stored: Token | None, entry: Entry, attempt: Attempt) -> Token | None:
        """Save what could not be saved before; give it where nothing else has to be done."""
        unsaved = self.keeper.unsaved
        if unsaved is None:
            return None
        if not self.keeper.may_save(stored):
            self.keeper.unsaved = None
            return self._adopt(stored, attempt)
        if attempt.reason == "rejected" or now() >= unsaved.held.fresh_until:
            return None
        return self._keep(unsaved.held, entry, attempt)

    def _without_store(self, error: StoreError, attempt: Attempt) -> Token:
        """Go on without the store where that spends no refresh token."""
        held: Held | None = None
        unsaved = self.keeper.unsaved
        if unsaved is not None and attempt.reason != "rejected" and now() < unsaved.held.fresh_until:
            held = unsaved.held
        elif self._seed is not None and attempt.reason == "first":
            seeded = self._settings.hold(self._seed)
            held = seeded if now() < seeded.usable_until else None
        if held is None and self._settings.unattended_grant is None:
            raise error
        self.keeper.warn("locked", error)
        return self._keep(held or self._ask(None, None, attempt, None), None, attempt)


_WHY: dict[LoginReason, str] = {
    "never_signed_in": "nobody has signed in yet",
    "refresh_expired": "the sign-in has ended: there is no refresh token that is still good",
    "revoked": "the authorization server has ended the sign-in: it no longer accepts the refresh token",
}


def _login_message(reason: LoginReason, key: StoreKey) -> str:
    whose = f" of {key.user}" if key.user else ""
    return (
        f"the client {key.client_id} has no token{whose} for {key.issuer}: {_WHY[reason]}. "
        f"Sign in: auth.login() in a script, auth.begin_login() in a web application, "
        f"or source.set(token) with a token from elsewhere"
    )
