"""The tokens that were issued: what each is worth now, rotation, reuse, revocation.

Expiry is measured on a clock that wall-clock jumps do not move; `advance` moves it for a test.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from .dialect import Refusal
from .issued import AccessToken, Family, RefreshToken, TokenAnswer
from .minting import Form, Mint
from .recording import TokenState

NO_PARAMETERS: Form = {}
SECRET_MEMBERS = (
    *("access_token", "refresh_token", "id_token", "client_secret", "client_assertion"),
    *("code", "code_verifier", "state", "nonce", "device_code"),
)


class Ledger:
    """Issues tokens and knows what each is worth."""

    def __init__(self, mint: Mint) -> None:
        # Guards everything below. Held by the token endpoint over a whole grant, so that looking at a refresh
        # token and spending it are one step.
        self.lock: AbstractContextManager[bool] = threading.RLock()
        self.reuse_detected: int = 0
        self.mint = mint
        self._settings = mint.site.settings
        self._access: dict[str, AccessToken] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._families: dict[str, Family] = {}  # by their sessions
        self._learned: frozenset[str] = frozenset()
        self._advanced = 0.0

    def now(self) -> float:
        """The time on this server's clock, in seconds."""
        return time.monotonic() + self._advanced

    def advance(self, seconds: float) -> None:
        """Move this server's clock on."""
        with self.lock:
            self._advanced += seconds

    def grant(self, *, user: str | None, client_id: str, scope: str | None, form: Form = NO_PARAMETERS) -> TokenAnswer:
        """The tokens of a new grant.

        Args:
            user: Whose tokens; None for the client's own.
            client_id: Who asks.
            scope: What for.
            form: The parameters of the token request.
        """
        with self.lock:
            return self.issue(self.family(user=user, client_id=client_id, scope=scope), form)

    def family(self, *, user: str | None, client_id: str, scope: str | None) -> Family:
        """A grant from which no token stems yet. Arguments as for `grant`."""
        return Family(user, self.mint.granted_scope(scope), client_id)

    def issue(self, family: Family, form: Form, *, nonce: str | None = None) -> TokenAnswer:
        """The first tokens that stem from a grant.

        Args:
            family: The grant.
            form: The parameters of the token request.
            nonce: For the ID token.
        """
        with self.lock:
            self._families[family.session] = family
            refresh = self._new_refresh(family) if self.mint.gives_refresh_token(family) else None
            return self._answer(self._new_access(family, family.scope, form), refresh, nonce)

    def end_session(self, session: str) -> None:
        """Revoke all tokens of this session, if there is one."""
        with self.lock:
            if family := self._families.get(session):
                self.revoke_family(family)

    def revoke_family(self, family: Family) -> None:
        """Revoke all tokens that stem from a grant."""
        with self.lock:
            _revoke(family.tokens)

    def present(self, text: str) -> RefreshToken | Refusal:
        """The refresh token if it may be used now; reuse of a spent one is counted, and avenged if so set."""
        with self.lock:
            token = self._refresh.get(text)
            if token is None:
                return "unknown"
            if token.spent_at is not None and not self._within_grace(token):
                self.reuse_detected += 1
                if self._settings.revoke_family_on_reuse:
                    _revoke(token.family.tokens)
                return "spent"
            if token.revoked:
                return "revoked"
            return "expired" if self._is_past(token.expires_at) else token

    def refresh(self, token: RefreshToken, scope: str | None, form: Form = NO_PARAMETERS) -> TokenAnswer:
        """New tokens for one that `present` gave; within the grace the same ones again."""
        with self.lock:
            if token.successor:
                return self._answer(*token.successor)
            scope = self.mint.granted_scope(scope or token.family.scope)
            access = self._new_access(token.family, scope, form)
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

    def revoke(self, text: str, client_id: str | None = None) -> bool:
        """Revoke a token of either kind (RFC 7009); with a refresh token, all that stems from its grant.

        Args:
            text: The token.
            client_id: Only if it was issued to this client.

        Returns:
            Whether there is such a token.
        """
        with self.lock:
            token = self._refresh.get(text) or self._access.get(text)
            if token is None or client_id not in (None, token.family.client_id):
                return False
            _revoke(token.family.tokens if isinstance(token, RefreshToken) else [token])
            return True

    def texts(self) -> frozenset[str]:
        """The text of every token that was ever issued, and what was learned."""
        with self.lock:
            return self._learned.union(self._access, self._refresh)

    def learn(self, members: Mapping[str, object]) -> None:
        """Remember the secrets among these members, which this ledger did not issue."""
        texts = (members.get(name) for name in SECRET_MEMBERS)
        with self.lock:
            self._learned |= {text for text in texts if isinstance(text, str) and text}

    def _is_past(self, moment: float | None) -> bool:
        return moment is not None and self.now() >= moment

    def _within_grace(self, token: RefreshToken) -> bool:
        return token.spent_at is not None and self.now() - token.spent_at < self._settings.reuse_grace

    def _new_access(self, family: Family, scope: str | None, form: Form) -> AccessToken:
        lifetime = self._settings.expires_in
        expires_at = None if lifetime is None else self.now() + lifetime
        text = self.mint.access_text(len(self._access) + 1, family, scope, form)
        token = self._access[text] = AccessToken(text, family, scope, expires_at)
        family.tokens.append(token)
        return token

    def _new_refresh(self, family: Family) -> RefreshToken:
        lifetime = self._settings.refresh_expires_in
        expires_at = self.now() + lifetime if lifetime else None
        text = self.mint.refresh_text(len(self._refresh) + 1, family)
        token = self._refresh[text] = RefreshToken(text, family, expires_at)
        family.tokens.append(token)
        return token

    def _answer(self, access: AccessToken, refresh: RefreshToken | None, nonce: str | None = None) -> TokenAnswer:
        members = TokenAnswer(access_token=access.text, token_type=self._settings.token_type)
        if access.expires_at is not None:
            members["expires_in"] = self._left(access.expires_at, self._settings.expires_in)
        if access.scope:
            members["scope"] = access.scope
        if refresh:
            members["refresh_token"] = refresh.text
            lifetime = self._settings.refresh_expires_in
            if lifetime is not None and self.mint.site.dialect.tells_refresh_expires_in:
                members["refresh_expires_in"] = self._left(refresh.expires_at, lifetime)
        members.update(self.mint.more_members(access, nonce))
        self.learn(members)
        return members

    def _left(self, expires_at: float | None, lifetime: float | None) -> float:
        """The rest of a lifetime as it is told: whole seconds, unless the lifetime was set as a fraction."""
        left = max(0.0, expires_at - self.now()) if expires_at is not None else 0.0
        return round(left, 3) if isinstance(lifetime, float) and not lifetime.is_integer() else round(left)


def _revoke(tokens: Sequence[AccessToken | RefreshToken]) -> int:
    for token in tokens:
        token.revoked = True
    return len(tokens)
