"""What was counted, and what must not be: the demo succeeds only if there is nothing to complain about."""

from collections.abc import Iterator
from dataclasses import dataclass

from .session_figures import SessionFigures, session_complaints
from .sign_in_figures import SignInFigures, sign_in_complaints

EXPIRIES = 3
REVOCATIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFigures:
    """What one HTTP client did.

    Attributes:
        requests: answers that its user code got; one that was replayed counts once.
        failures: films whose user code met an error.
        replays: requests that got 401 and were sent once more, unseen by the user code.
        uploads: films that the user code believes to be uploaded.
        intact: those of them that the storage has with the same SHA-256.
    """

    name: str
    requests: int
    failures: int
    replays: int
    uploads: int
    intact: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What all of them did together, as far as possible from the servers' side.

    Attributes:
        clients: the figures of each HTTP client.
        films: how many films there were to upload.
        served: requests that the API and the storage answered, 401s included.
        token_calls: requests to the token endpoint.
        expiries: renewals because a token came to its end.
        revocations: renewals because an API answered 401.
        crowd: uploads that were under way at once when their token was revoked.
        crowd_replays, crowd_token_calls: what that caused.
        tokens_elsewhere: requests with a token to any origin but the API.
        session: what happened in the second act.
        sign_in: what happened in the third act.
        seconds: how long all of them took.
    """

    clients: tuple[ClientFigures, ...]
    films: int
    served: int
    token_calls: int
    expiries: int
    revocations: int
    crowd: int
    crowd_replays: int
    crowd_token_calls: int
    tokens_elsewhere: int
    session: SessionFigures
    sign_in: SignInFigures
    seconds: float

    @property
    def total(self) -> ClientFigures:
        """The sum over all clients."""
        names = ("requests", "failures", "replays", "uploads", "intact")
        sums = {name: sum(getattr(client, name) for client in self.clients) for name in names}
        return ClientFigures(name="together", **sums)


def complaints(figures: Figures) -> Iterator[str]:
    """Say what is off; nothing if all is well."""
    yield from _about_films(figures)
    yield from _about_tokens(figures)
    yield from session_complaints(figures.session)
    yield from sign_in_complaints(figures.sign_in)


def _about_films(figures: Figures) -> Iterator[str]:
    total = figures.total
    if total.failures:
        yield f"{total.failures} programs met an error"
    if total.uploads != figures.films:
        yield f"{total.uploads} of {figures.films} films were uploaded"
    if total.intact != figures.films:
        yield f"{total.intact} of {figures.films} films arrived byte for byte"
    if not figures.clients or not all(client.uploads for client in figures.clients):
        yield "an HTTP client uploaded nothing"
    if figures.served != total.requests + total.replays:
        yield f"the servers answered {figures.served} requests, the clients made {total.requests + total.replays}"


def _about_tokens(figures: Figures) -> Iterator[str]:
    needed = 1 + figures.expiries + figures.revocations
    if figures.tokens_elsewhere:
        yield f"{figures.tokens_elsewhere} requests carried a token to a foreign origin"
    if figures.expiries < EXPIRIES:
        yield f"only {figures.expiries} tokens came to their end, {EXPIRIES} are the least that shows something"
    if figures.revocations < REVOCATIONS:
        yield f"only {figures.revocations} tokens met a 401, {REVOCATIONS} are the least that shows something"
    if figures.token_calls != needed:
        yield f"{figures.token_calls} token calls, {needed} are needed"
    if (figures.crowd_token_calls, figures.crowd_replays) != (1, figures.crowd):
        yield (
            f"{figures.crowd} uploads met a 401 together: {figures.crowd_token_calls} token calls and "
            f"{figures.crowd_replays} replays"
        )
