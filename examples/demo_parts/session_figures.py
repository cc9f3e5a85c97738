"""What was counted in the second act, what it means, and what must not be."""

from collections.abc import Iterator
from dataclasses import dataclass

EXPIRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """What the threads did, as far as possible from the server's side.

    Attributes:
        threads: how many shared the session.
        requests: answers that their user code got; one that was replayed counts once.
        served: requests that the API answered, 401s included.
        failures: threads whose user code met an error.
        replays: requests that got 401 and were sent once more, unseen by the user code.
        listings, whole: how many listings there were to make, and how many have all videos.
        sign_ins: token calls with the password.
        refreshes: token calls with a refresh token.
        refresh_tokens: how many different ones those were.
        expiries: renewals because a token came to its end.
        revocations: renewals because the API answered 401.
        crowds: how often requests of all threads were under way when their token was revoked.
        crowd_token_calls: what that caused.
        reuse_detected: how often the server saw a refresh token again.
    """

    threads: int
    requests: int
    served: int
    failures: int
    replays: int
    listings: int
    whole: int
    sign_ins: int
    refreshes: int
    refresh_tokens: int
    expiries: int
    revocations: int
    crowds: int
    crowd_token_calls: int
    reuse_detected: int


def session_complaints(figures: SessionFigures) -> Iterator[str]:
    """Say what is off; nothing if all is well."""
    if figures.failures:
        yield f"movingimage: {figures.failures} threads met an error"
    if figures.whole != figures.listings:
        yield f"movingimage: {figures.whole} of {figures.listings} listings are whole"
    if figures.served != figures.requests + figures.replays:
        yield f"movingimage: {figures.served} answers, {figures.requests + figures.replays} arrived"
    if figures.reuse_detected:
        yield f"movingimage: the server saw a refresh token again {figures.reuse_detected} times"
    if figures.refresh_tokens != figures.refreshes:
        yield f"movingimage: {figures.refreshes} refreshes with {figures.refresh_tokens} refresh tokens"
    if figures.sign_ins != 1:
        yield f"movingimage: {figures.sign_ins} sign-ins, 1 is needed"
    if figures.expiries < EXPIRIES:
        yield f"movingimage: only {figures.expiries} tokens came to their end, {EXPIRIES} are the least"
    if figures.refreshes != figures.expiries + figures.revocations:
        yield f"movingimage: {figures.refreshes} refreshes, {figures.expiries + figures.revocations} are needed"
    if figures.crowd_token_calls != figures.crowds or figures.replays < figures.crowds * figures.threads:
        yield (
            f"movingimage: {figures.threads} threads met a 401 together {figures.crowds} times: "
            f"{figures.crowd_token_calls} token calls and {figures.replays} replays"
        )


def session_facts(figures: SessionFigures) -> list[str]:
    """Say what it came to."""
    return [
        f"movingimage: {figures.failures} of {figures.requests} requests of {figures.threads} threads failed",
        f"{figures.sign_ins} sign-in and {figures.refreshes} refreshes, each with a refresh token of its own",
        f"{figures.expiries} of them at a token's end, {figures.revocations} after a 401",
        f"{figures.threads} threads met a 401 together {figures.crowds} times, with 1 refresh each time",
        f"{figures.reuse_detected} refresh tokens seen twice by the server, which would end the session",
    ]
