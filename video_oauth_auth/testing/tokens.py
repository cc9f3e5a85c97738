"""The tokens that were issued: what each is worth now, rotation, reuse, revocation.

Expiry is measured on a clock that wall-clock jumps do not move; `advance` moves it for a test.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .recording import TokenState
from .settings import Settings


class TokenAnswer(dict[str, Any]):
    """The members of a token answer; `repr` hides them, because Authlib logs it."""

    def __repr__(self) -> str:
        return f"<token answer with {', '.join(self)}>"


@dataclass(slots=True, eq=False)
class Family:
    """All tokens that stem from one grant."""

    subject: str
    scope: str | None
    client_id: str
    tokens: list["AccessToken | RefreshToken"] = field(default_factory=list, repr=False)


@dataclass(slots=True, eq=False)
class AccessToken:
    """An access token as the server keeps it; `expires_at` on the clock of the ledger."""

    text: str = field(repr=False)
    family: Family
    scope: str | None
    expires_at: float | None
    revoked: bool = False


@dataclass(slots=True, eq=False)
class RefreshToken:
    """A refresh token as the server keeps it, and once it is spent, what it was spent for."""

    text: str = field(repr=False)
    family: Family
    expires_at: float | None
    revoked: bool = False
    spent_at: float | None = None
    successor: tuple[AccessToken, "RefreshToken"] | None = field(default=None, repr=False)

    def check_client(self, client: Any) -> bool:
        """Whether it was issued to this client (asked by Authlib)."""
        return bool(self.family.client_id == client.get_client_id())

    def get_scope(self) -> str:
        """The scope of the original grant (asked by Authlib)."""
        return self.family.scope or ""


class Ledger:
    """Issues tokens and knows what each is worth."""

    def __init__(self, settings: Settings) -> None:
        # Guards everything below. Held by the token endpoint over a whole grant, so that looking at a refresh
        # token and spending it are one step.
        self.lock = threading.RLock()
        self.reuse_detected = 0
        self._settings = settings
        self._access: dict[str, AccessToken] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._learned: frozenset[str] = frozenset()
        self._advanced = 0.0

    def now(self) -> float:
        """The time on this server's clock, in seconds."""
        return time.monotonic() + self._advanced

    def advance(self, seconds: float) -> None:
        """Move this server's clock on."""
        with self.lock:
            self._advanced += seconds

    def grant(self, *, subject: str, scope: str | None) -> TokenAnswer:
        """The tokens of a new grant."""
        with self.lock:
            family = Family(subject, scope, self._settings.client_id)
            refresh = self._new_refresh(family) if self._settings.refresh_tokens else None
            return self._answer(self._new_access(family, scope), refresh)

    def present(self, text: str) -> RefreshToken | None:
        """The refresh token if it may be used now; reuse of a spent one is counted, and avenged if so set."""
        with self.lock:
            token = self._refresh.get(text)
            if token is None:
                return None
            if token.spent_at is not None and not self._within_grace(token):
                self.reuse_detected += 1
                if self._settings.revoke_family_on_reuse:
                    _revoke(token.family.tokens)
                return None
            return None if token.revoked or self._is_past(token.expires_at) else token

    def refresh(self, token: RefreshToken, scope: str | None) -> TokenAnswer:
        """New tokens for one that `present` gave; within the grace the same ones again."""
        with self.lock:
            if token.successor:
                return self._answer(*token.successor)
            access = self._new_access(token.family, scope or token.family.scope)
            if not self._settings.rotate:
                return self._answer(access, None)
            successor = self._new_refresh(token.family)
            token.spent_at, token.successor = self.now(), (access, successor)
            return self._answer(access, successor)

    def state(self, text: str) -> TokenState:
        """What this access token is worth now."""
        with self.lock:
            token = self._access.get(text)
            if token is None:
                return "unknown"
            if token.revoked:
                return "revoked"
            return "expired" if self._is_past(token.expires_at) else "live"

    def access_token(self, text: str) -> AccessToken:
        """The access token with this text, whatever it is worth."""
        return self._access[text]

    def live(self) -> Iterator[AccessToken]:
        """The access tokens that are accepted now."""
        return (token for token in tuple(self._access.values()) if self.state(token.text) == "live")

    def revoke_access_tokens(self, text: str | None = None) -> int:
        """Revoke this live access token, or all of them; gives how many."""
        with self.lock:
            return _revoke([token for token in self.live() if text in (None, token.text)])

    def revoke_refresh_tokens(self) -> int:
        """Revoke all refresh tokens that could still be used; gives how many."""
        with self.lock:
            unspent = [token for token in self._refresh.values() if token.spent_at is None]
            return _revoke([token for token in unspent if not token.revoked])

    def texts(self) -> frozenset[str]:
        """The text of every token that was ever issued, and what was learned."""
        with self.lock:
            return self._learned.union(self._access, self._refresh)

    def learn(self, members: Mapping[str, object]) -> None:
        """Remember the secrets among these members, which this ledger did not issue."""
        texts = (members.get(name) for name in ("access_token", "refresh_token", "client_secret"))
        with self.lock:
            self._learned |= {text for text in texts if isinstance(text, str)}

    def _is_past(self, moment: float | None) -> bool:
        return moment is not None and self.now() >= moment

    def _within_grace(self, token: RefreshToken) -> bool:
        return token.spent_at is not None and self.now() - token.spent_at < self._settings.reuse_grace

    def _new_access(self, family: Family, scope: str | None) -> AccessToken:
        lifetime = self._settings.expires_in
        expires_at = None if lifetime is None else self.now() + lifetime
        text = f"access-{len(self._access) + 1}-{secrets.token_urlsafe(18)}"
        token = self._access[text] = AccessToken(text, family, scope, expires_at)
        family.tokens.append(token)
        return token

    def _new_refresh(self, family: Family) -> RefreshToken:
        lifetime = self._settings.refresh_expires_in
        expires_at = self.now() + lifetime if lifetime else None
        text = f"refresh-{len(self._refresh) + 1}-{secrets.token_urlsafe(18)}"
        token = self._refresh[text] = RefreshToken(text, family, expires_at)
        family.tokens.append(token)
        return token

    def _answer(self, access: AccessToken, refresh: RefreshToken | None) -> TokenAnswer:
        members = TokenAnswer(access_token=access.text, token_type=self._settings.token_type)
        if access.expires_at is not None:
            members["expires_in"] = self._left(access.expires_at, self._settings.expires_in)
        if access.scope:
            members["scope"] = access.scope
        if refresh:
            members["refresh_token"] = refresh.text
            if self._settings.refresh_expires_in is not None:
                told = self._left(refresh.expires_at, self._settings.refresh_expires_in)
                members["refresh_expires_in"] = told
        return members

    def _left(self, expires_at: float | None, lifetime: float | None) -> float:
        """The rest of a lifetime as it is told: whole seconds, unless the lifetime was set as a fraction."""
        left = max(0.0, expires_at - self.now()) if expires_at is not None else 0.0
        return round(left, 3) if isinstance(lifetime, float) and not lifetime.is_integer() else round(left)


def _revoke(tokens: Sequence[AccessToken | RefreshToken]) -> int:
    for token in tokens:
        token.revoked = True
    return len(tokens)
