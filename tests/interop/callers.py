"""The five clients behind one face, so that a test says once what must hold in all of them."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, BinaryIO, Protocol

import httpx
import httpx2
import requests

TIMEOUT = 20.0
BARRIER_TIMEOUT = 30.0

Content = bytes | BinaryIO | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every one of the five libraries can say about a response."""

    status: int
    json: Any


class Caller(Protocol):
    """A client with an auth object."""

    def get(self, url: str) -> Answer: ...

    def put(self, url: str, *, content: Content = None, file: BinaryIO | None = None) -> Answer:
        """Sends either `content` as the body or `file` as the one part of a multipart body."""

    def get_together(self, url: str, count: int) -> list[Answer]:
        """Sends `count` requests at the same moment: from as many threads, or as as many tasks."""

    def close(self) -> None: ...


class RequestsCaller:
    def __init__(self, auth: Any) -> None:
        self._session = requests.Session()
        self._session.auth = auth
        pool = requests.adapters.HTTPAdapter(pool_maxsize=64)
        self._session.mount("http://", pool)

    def get(self, url: str) -> Answer:
        return _answer(self._session.get(url, timeout=TIMEOUT))

    def put(self, url: str, *, content: Content = None, file: BinaryIO | None = None) -> Answer:
        files = None if file is None else {"file": file}
        return _answer(self._session.put(url, data=content, files=files, timeout=TIMEOUT))

    def get_together(self, url: str, count: int) -> list[Answer]:
        return _from_threads(lambda: self.get(url), count)

    def close(self) -> None:
        self._session.close()


class HttpxCaller:
    def __init__(self, auth: Any, *, library: ModuleType) -> None:
        self._client = library.Client(auth=auth, timeout=TIMEOUT)

    def get(self, url: str) -> Answer:
        return _answer(self._client.get(url))

    def put(self, url: str, *, content: Content = None, file: BinaryIO | None = None) -> Answer:
        files = None if file is None else {"file": file}
        return _answer(self._client.put(url, content=content, files=files))

    def get_together(self, url: str, count: int) -> list[Answer]:
        return _from_threads(lambda: self.get(url), count)

    def close(self) -> None:
        self._client.close()


class AsyncHttpxCaller:
    """Drives an async client on one event loop that lives as long as the client."""

    def __init__(self, auth: Any, *, library: ModuleType) -> None:
        self._runner = asyncio.Runner()
        self._client = library.AsyncClient(auth=auth, timeout=TIMEOUT)

    def get(self, url: str) -> Answer:
        return _answer(self._runner.run(self._client.get(url)))

    def put(self, url: str, *, content: Content = None, file: BinaryIO | None = None) -> Answer:
        files = None if file is None else {"file": file}
        return _answer(self._runner.run(self._client.put(url, content=content, files=files)))

    def get_together(self, url: str, count: int) -> list[Answer]:
        return self._runner.run(self._gather(url, count))

    async def _gather(self, url: str, count: int) -> list[Answer]:
        responses = await asyncio.gather(*(self._client.get(url) for _ in range(count)))
        return [_answer(response) for response in responses]

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


OPENERS: dict[str, Callable[[Any], Caller]] = {
    "requests": RequestsCaller,
    "httpx": lambda auth: HttpxCaller(auth, library=httpx),
    "httpx-async": lambda auth: AsyncHttpxCaller(auth, library=httpx),
    "httpx2": lambda auth: HttpxCaller(auth, library=httpx2),
    "httpx2-async": lambda auth: AsyncHttpxCaller(auth, library=httpx2),
}


@contextmanager
def open_caller(name: str, auth: Any) -> Iterator[Caller]:
    """One of the five, with this auth object, closed at the end."""
    caller = OPENERS[name](auth)
    try:
        yield caller
    finally:
        caller.close()


def all_together(calls: Sequence[Callable[[], list[Answer]]]) -> list[Answer]:
    """Starts each of these calls on a thread of its own and returns all their answers."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [answer for future in [pool.submit(call) for call in calls] for answer in future.result()]


def _from_threads(call: Callable[[], Answer], count: int) -> list[Answer]:
    start = threading.Barrier(count, timeout=BARRIER_TIMEOUT)

    def wait_and_call(_: int) -> Answer:
        start.wait()
        return call()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_call, range(count)))


def _answer(response: Any) -> Answer:
    return Answer(status=response.status_code, json=response.json())
