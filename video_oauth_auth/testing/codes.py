"""Authorization codes: each is good for one token request, within a minute (RFC 6749 section 4.1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .issued import Family
from .settings import PLAIN
from .tokens import Ledger

LIFETIME = 60  # seconds


@dataclass(slots=True, eq=False, kw_only=True)
class AuthorizationCode:
    """A code, and the parameters of the authorization request that the token request has to fit."""

    text: str = field(repr=False)
    family: Family
    expires_at: float
    redirect_uri: str
    code_challenge: str | None = field(repr=False)
    code_challenge_method: str
    nonce: str | None = field(repr=False)
    presented: bool = False

    def get_redirect_uri(self) -> str:
        """Where the person was sent back to (asked by Authlib)."""
        return self.redirect_uri


class Codes:
    """The codes that were issued."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger  # its lock guards the codes
        self._codes: dict[str, AuthorizationCode] = {}

    def issue(self, parameters: Mapping[str, str], user: str) -> AuthorizationCode:
        """A code for the authorization request with these parameters, which this user has allowed."""
        with self._ledger.lock:
            code = AuthorizationCode(
                text=self._ledger.mint.code_text(),
                family=self._ledger.family(user=user, client_id=parameters["client_id"], scope=parameters.get("scope")),
                expires_at=self._ledger.now() + LIFETIME,
                redirect_uri=parameters["redirect_uri"],
                code_challenge=parameters.get("code_challenge"),
                code_challenge_method=parameters.get("code_challenge_method", PLAIN),
                nonce=parameters.get("nonce"),
            )
            self._ledger.learn({"code": code.text})
            self._codes[code.text] = code
            return code

    def present(self, text: str, client_id: str) -> AuthorizationCode | None:
        """The code if it may be used now; whether it then is or not, it never may be again.

        A second time it also revokes the tokens that were issued for it.
        """
        with self._ledger.lock:
            code = self._codes.get(text)
            if code is None or code.family.client_id != client_id:
                return None
            if code.presented:
                self._ledger.revoke_family(code.family)
                return None
            code.presented = True
            return code if self._ledger.now() < code.expires_at else None
