"""Five HTTP clients with one auth object, all at once: ten workers, each with one film after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import httpx2
import requests

from video_oauth_auth import OAuth2Auth

from .board import Board
from .films import Film
from .programs import HttpxAsyncClient, HttpxClient

THREADS = 4  # of the program that uses requests
TASKS = 2  # of each asynchronous program
WORKERS = THREADS + 1 + TASKS + 1 + TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done with each film, for each kind of client."""

    requests: Callable[[requests.Session, Film], None]
    httpx: Callable[[HttpxClient, Film], None]
    async_httpx: Callable[[HttpxAsyncClient, Film], Awaitable[None]]


def work(job: Job, films: Sequence[Film], auth: OAuth2Auth, board: Board) -> None:
    """Do a job with all films, each client its share, and return when all is done.

    Args:
        job: What is to be done.
        films: With what; a multiple of `WORKERS`.
        auth: The one auth object.
        board: Who looks on.
    """
    hooks, async_hooks = {"response": [board.note]}, {"response": [board.note_async]}
    share, left = len(films) // WORKERS, iter(films)

    def take(workers: int) -> list[Film]:
        return [next(left) for _ in range(workers * share)]

    with (
        requests.Session() as session,
        httpx.Client(auth=auth, timeout=30, event_hooks=hooks) as client,
        httpx2.Client(auth=auth, timeout=30, event_hooks=hooks) as client2,
        ThreadPoolExecutor(5) as pool,
    ):
        session.auth = auth
        session.hooks["response"] = [board.note]
        async_client = httpx.AsyncClient(auth=auth, timeout=30, event_hooks=async_hooks)
        async_client2 = httpx2.AsyncClient(auth=auth, timeout=30, event_hooks=async_hooks)
        programs = [
            pool.submit(_in_threads, job, take(THREADS), session, board),
            pool.submit(_one_by_one, "httpx", job, take(1), client, board),
            pool.submit(asyncio.run, _in_tasks("httpx async", job, take(TASKS), async_client, board)),
            pool.submit(_one_by_one, "httpx2", job, take(1), client2, board),
            pool.submit(asyncio.run, _in_tasks("httpx2 async", job, take(TASKS), async_client2, board)),
        ]
    for program in programs:
        program.result()


def _in_threads(job: Job, films: Sequence[Film], session: requests.Session, board: Board) -> None:
    def one(film: Film) -> None:
        with board.record("requests", film.name):
            job.requests(session, film)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, films))


def _one_by_one(name: str, job: Job, films: Sequence[Film], client: HttpxClient, board: Board) -> None:
    for film in films:
        with board.record(name, film.name):
            job.httpx(client, film)


async def _in_tasks(name: str, job: Job, films: Sequence[Film], client: HttpxAsyncClient, board: Board) -> None:
    async def some(films: Sequence[Film]) -> None:
        for film in films:
            with board.record(name, film.name):
                await job.async_httpx(client, film)

    async with client:
        await asyncio.gather(*(some(films[number::TASKS]) for number in range(TASKS)))
