"""Counts what happened: from the servers' records where they know it, from the programs' where only they do."""

from collections.abc import Mapping, Sequence

from video_oauth_auth.testing import BrightcoveServer, RecordedRequest, Upload

from .board import Board, Record
from .figures import ClientFigures, Figures
from .films import Film
from .session_figures import SessionFigures
from .sign_in_figures import SignInFigures

CLIENTS = ("requests", "httpx", "httpx async", "httpx2", "httpx2 async")


def count(
    server: BrightcoveServer,
    board: Board,
    films: Sequence[Film],
    *,
    crowd: int,
    calls_before: int,
    renewals: int,
    session: SessionFigures,
    sign_in: SignInFigures,
) -> Figures:
    """Count everything.

    Args:
        server: Where it happened.
        board: Who looked on.
        films: All films that were to be uploaded.
        crowd: How many of them, the last ones, were under way when their token was revoked.
        calls_before: The number of token calls until then.
        renewals: How many of the renewals, the first ones, belong to these films.
        session: The figures of the second act.
        sign_in: The figures of the third act.
    """
    by_name = {film.name: film for film in films}
    crowded = {film.name for film in films[len(films) - crowd :]}
    reasons = [event.reason for event in board.renewals[:renewals]]
    served = (*server.requests_to("api"), *server.requests_to("storage"))
    return Figures(
        clients=tuple(_count_client(name, board.records, by_name, _uploads(server)) for name in CLIENTS),
        films=len(films),
        served=sum(request.status is not None for request in served),
        token_calls=len(server.token_calls),
        expiries=sum(reason in ("stale", "expired") for reason in reasons),
        revocations=reasons.count("rejected"),
        crowd=crowd,
        crowd_replays=sum(_replays(record) for record in board.records if record.subject in crowded),
        crowd_token_calls=len(server.token_calls) - calls_before,
        tokens_elsewhere=tokens_elsewhere(server),
        session=session,
        sign_in=sign_in,
        seconds=board.seconds,
    )


def tokens_elsewhere(server: BrightcoveServer) -> int:
    """Count the requests to the storage and to the foreign site that carried a token or the client secret."""
    secrets = server.secrets()
    elsewhere = (*server.requests_to("storage"), *server.requests_to("foreign"))
    return sum(any(secret in _text(request) for secret in secrets) for request in elsewhere)


def _text(request: RecordedRequest) -> str:
    return f"{request.path}?{request.query} {request.headers} {request.body!r}"


def _uploads(server: BrightcoveServer) -> Mapping[str, Upload]:
    return {key.rpartition("/")[2]: upload for key, upload in server.uploads.items()}


def _count_client(
    name: str, records: Sequence[Record], films: Mapping[str, Film], uploads: Mapping[str, Upload]
) -> ClientFigures:
    mine = [record for record in records if record.client == name]
    replays = sum(map(_replays, mine))
    done = [films[record.subject] for record in mine if record.subject in films and not record.problem]
    return ClientFigures(
        name=name,
        requests=sum(len(record.answers) for record in mine) - replays,
        failures=sum(bool(record.problem) for record in mine),
        replays=replays,
        uploads=len(done),
        intact=sum(film.name in uploads and uploads[film.name].sha256 == film.sha256 for film in done),
    )


def _replays(record: Record) -> int:
    """Count the 401s that another answer to the same request followed."""
    return sum(answer.status == 401 for answer in record.answers[:-1])
