"""What was counted in the third act, what it means, and what must not be."""

from collections.abc import Iterator
from dataclasses import dataclass

from .session import USER

TOKENS = 2  # that are revoked: the refresh token and the access token


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInFigures:
    """What the person and the program did, as far as possible from the server's side.

    Attributes:
        name: who has signed in, as the ID token says.
        codes: token calls with a code.
        proofs: those of them that had a code verifier (PKCE).
        listings, whole: how many listings there were to make, and how many have all videos.
        refreshes: token calls with a refresh token.
        refresh_tokens: how many different ones those were.
        expiries: renewals because a token came to its end.
        revoked: tokens that were revoked.
        old_token_status: what the API says to the last access token after the person has signed out.
        requests_afterwards: requests that left after that, though there was no token.
        reuse_detected: how often the server saw a refresh token again.
    """

    name: str
    codes: int
    proofs: int
    listings: int
    whole: int
    refreshes: int
    refresh_tokens: int
    expiries: int
    revoked: int
    old_token_status: int
    requests_afterwards: int
    reuse_detected: int


def sign_in_complaints(figures: SignInFigures) -> Iterator[str]:
    """Say what is off; nothing if all is well."""
    if figures.name != USER:
        yield f"sign-in: {USER} was to sign in, the ID token names {figures.name}"
    if (figures.codes, figures.proofs) != (1, 1):
        yield f"sign-in: {figures.codes} codes were sent, {figures.proofs} with a code verifier; 1 is needed"
    if figures.whole != figures.listings:
        yield f"sign-in: {figures.whole} of {figures.listings} listings are whole"
    if not figures.expiries:
        yield "sign-in: no token came to its end"
    if figures.refreshes != figures.expiries or figures.refresh_tokens != figures.refreshes:
        yield (
            f"sign-in: {figures.refreshes} refreshes with {figures.refresh_tokens} refresh tokens, "
            f"{figures.expiries} are needed"
        )
    if figures.revoked != TOKENS:
        yield f"sign-in: {figures.revoked} tokens were revoked, {TOKENS} are to be"
    if figures.old_token_status != 401:
        yield f"sign-in: after signing out the API says {figures.old_token_status} to the old token"
    if figures.requests_afterwards:
        yield "sign-in: a request left without a token after signing out"
    if figures.reuse_detected:
        yield f"sign-in: the server saw a refresh token again {figures.reuse_detected} times"


def sign_in_facts(figures: SignInFigures) -> list[str]:
    """Say what it came to."""
    return [
        f"{figures.name} signed in once: {figures.codes} code, sent with its PKCE verifier",
        f"{figures.refreshes} refreshes kept the session alive while {figures.listings} lists were read",
        f"signed out: {figures.revoked} tokens revoked, {figures.old_token_status} to the old one, then LoginRequired",
    ]
