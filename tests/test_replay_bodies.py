"""Bodies and the 401: sent again byte for byte, or not at all."""

import asyncio
import hashlib
import io
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor

FILM = bytes(range(256)) * 1200  # more than any of the libraries reads at once
SHA256 = hashlib.sha256(FILM).hexdigest()

sync_clients = pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)
async_clients = pytest.mark.parametrize("client", ["httpx-async", "httpx2-async"], indirect=True)
httpx_clients = pytest.mark.parametrize("client", ["httpx", "httpx-async", "httpx2", "httpx2-async"], indirect=True)
requests_only = pytest.mark.parametrize("client", ["requests"], indirect=True)


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


@pytest.fixture
def film(tmp_path):
    """A file on disk, opened for reading."""
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    with ExitStack() as stack:
        yield stack.enter_context(path.open("rb"))


def upload_with_401(client, server, auth, **body):
    """Send a body with a token that the server has ended meanwhile; give the answer and what the API received."""
    assert client.send(auth, "GET", f"{server.api_url}/me").status_code == 200
    server.revoke_access_tokens()
    server.clear()
    response = client.send(auth, "POST", f"{server.api_url}/upload", **body)
    return response, server.requests_to("api")


def assert_replayed(response, received, sha256=None):
    assert [request.status for request in received] == [401, 200]
    first, again = received
    assert response.status_code == 200
    assert first.complete
    assert again.complete
    assert (again.size, again.sha256) == (first.size, first.sha256)
    assert response.json()["sha256"] == again.sha256
    assert again.header("Content-Type") == first.header("Content-Type")
    if sha256 is not None:
        assert first.sha256 == sha256


def assert_not_replayed(client, server, auth, response, received, sha256=None):
    """The caller has the 401, the API saw one whole body, and the next request has the new token."""
    assert response.status_code == 401
    assert [request.status for request in received] == [401]
    assert received[0].complete
    assert received[0].size >= len(FILM)
    if sha256 is not None:
        assert received[0].sha256 == sha256
    assert client.send(auth, "GET", f"{server.api_url}/me").status_code == 200
    assert [request.status for request in server.requests_to("api")] == [401, 200]
    assert len(server.token_calls) == 1


# Sent again

VALUES = {
    "text": lambda client: client.raw("Frühling an der Förde. " * 5000),
    "json": lambda client: {"json": {"name": "Frühling", "tags": ["a"] * 20000}},
    "form": lambda client: {"data": {"name": "Frühling & Söhne", "tags": "x" * 100000}},
    "no body": lambda client: {},
    "multipart of bytes": lambda client: {"files": {"film": ("film.mp4", FILM, "video/mp4")}},
    "multipart of BytesIO": lambda client: {
        "files": {"film": ("film.mp4", io.BytesIO(FILM), "video/mp4"), "notes": io.BytesIO(b"notes")},
        "data": {"name": "Sommer"},
    },
}


@pytest.mark.parametrize("body", VALUES.values(), ids=VALUES)
def test_a_body_made_of_values_is_sent_again_byte_for_byte(client, oauth_server, auth, body):
    assert_replayed(*upload_with_401(client, oauth_server, auth, **body(client)))


def test_bytes_are_sent_again_byte_for_byte(client, oauth_server, auth):
    assert_replayed(*upload_with_401(client, oauth_server, auth, **client.raw(FILM)), SHA256)


def test_a_multipart_upload_of_a_file_is_sent_again_byte_for_byte(client, oauth_server, auth, film):
    files = {"film": ("film.mp4", film, "video/mp4")}
    assert_replayed(*upload_with_401(client, oauth_server, auth, files=files, data={"name": "Sommer"}))


@sync_clients
def test_a_file_is_sent_again_byte_for_byte(client, oauth_server, auth, film):
    assert_replayed(*upload_with_401(client, oauth_server, auth, **client.raw(film)), SHA256)


@sync_clients
def test_a_bytesio_is_sent_again_byte_for_byte(client, oauth_server, auth):
    assert_replayed(*upload_with_401(client, oauth_server, auth, **client.raw(io.BytesIO(FILM))), SHA256)


@pytest.mark.parametrize("client", ["requests", "httpx2"], indirect=True)
@pytest.mark.parametrize("kind", ["file", "BytesIO"])
def test_a_file_is_sent_again_from_where_it_stood_when_the_request_was_made(client, oauth_server, auth, film, kind):
    body = film if kind == "file" else io.BytesIO(FILM)
    body.seek(100_001)
    rest = hashlib.sha256(FILM[100_001:]).hexdigest()
    assert_replayed(*upload_with_401(client, oauth_server, auth, **client.raw(body)), rest)


@requests_only
def test_what_requests_has_read_into_memory_is_sent_again_wherever_it_came_from(client, oauth_server, auth):
    assert_replayed(*upload_with_401(client, oauth_server, auth, files={"film": ("film.mp4", Pipe(FILM))}))


# Never sent short or empty


class Pipe(io.RawIOBase):
    """A stream that can be read once, like the output of another program."""

    def __init__(self, content):
        self._rest = content

    def readable(self):
        return True

    def readinto(self, buffer):
        chunk, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


class ClosesItself(io.BytesIO):
    """A file that is closed as soon as it has been read to its end."""

    def read(self, size=-1):
        chunk = super().read(size)
        if not chunk:
            self.close()
        return chunk


class Once:
    """A user's own stream class: a second reading silently gives nothing."""

    def __init__(self):
        self._chunks = chunks()

    def __iter__(self):
        yield from self._chunks

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk


class AsyncOnce:
    """The same for asynchronous clients only."""

    def __init__(self):
        self._chunks = chunks()

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk


class LiesAboutSeeking(Pipe):
    """A file that says it can go back and then cannot."""

    def seekable(self):
        return True

    def tell(self):
        return 0


def chunked_headers(url):
    """What httpx leaves to those who give it a stream."""
    return {"Host": urlsplit(url).netloc, "Transfer-Encoding": "chunked"}


def chunks():
    return iter([FILM[start : start + 65536] for start in range(0, len(FILM), 65536)])


def generated():
    yield from chunks()


async def generated_asynchronously():
    for chunk in chunks():
        yield chunk


ONE_SHOT = {
    "generator": generated,
    "iterator": chunks,
    "stream that cannot seek": lambda: Pipe(FILM),
    "buffered stream that cannot seek": lambda: io.BufferedReader(Pipe(FILM)),
    "user's own class": Once,
    "file that is closed after reading": lambda: ClosesItself(FILM),
}
ASYNC_ONE_SHOT = {"generator": generated_asynchronously, "user's own class": AsyncOnce}


@sync_clients
@pytest.mark.parametrize("body", ONE_SHOT.values(), ids=ONE_SHOT)
def test_a_body_that_can_be_read_once_is_never_sent_short(client, oauth_server, auth, body):
    response, received = upload_with_401(client, oauth_server, auth, **client.raw(body()))
    assert_not_replayed(client, oauth_server, auth, response, received, SHA256)


@async_clients
@pytest.mark.parametrize("body", ASYNC_ONE_SHOT.values(), ids=ASYNC_ONE_SHOT)
def test_an_asynchronous_body_that_can_be_read_once_is_never_sent_short(client, oauth_server, auth, body):
    response, received = upload_with_401(client, oauth_server, auth, **client.raw(body()))
    assert_not_replayed(client, oauth_server, auth, response, received, SHA256)


@pytest.mark.parametrize("client", ["requests"], indirect=True)
def test_a_file_that_only_says_it_can_seek_is_never_sent_short(client, oauth_server, auth):
    response, received = upload_with_401(client, oauth_server, auth, **client.raw(LiesAboutSeeking(FILM)))
    assert_not_replayed(client, oauth_server, auth, response, received, SHA256)


MULTIPART_ONE_SHOT = {
    "stream that cannot seek": Pipe,
    "file that is closed after reading": ClosesItself,
}


@httpx_clients
@pytest.mark.parametrize("stream", MULTIPART_ONE_SHOT.values(), ids=MULTIPART_ONE_SHOT)
def test_a_multipart_upload_of_what_can_be_read_once_is_never_sent_short(client, oauth_server, auth, stream):
    files = {"film": ("film.mp4", stream(FILM)), "notes": io.BytesIO(b"notes")}
    response, received = upload_with_401(client, oauth_server, auth, files=files)
    assert_not_replayed(client, oauth_server, auth, response, received)


@requests_only
@pytest.mark.parametrize("monitored", [False, True], ids=["MultipartEncoder", "MultipartEncoderMonitor"])
def test_a_multipart_encoder_of_the_toolbelt_is_never_sent_short(client, oauth_server, auth, monitored):
    body = MultipartEncoder(fields={"film": ("film.mp4", io.BytesIO(FILM), "video/mp4")})
    headers = {"Content-Type": body.content_type}
    body = MultipartEncoderMonitor(body, lambda _: None) if monitored else body
    response, received = upload_with_401(client, oauth_server, auth, data=body, headers=headers)
    assert_not_replayed(client, oauth_server, auth, response, received)


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_a_byte_stream_class_of_the_user_is_never_sent_short(oauth_server, auth, module):
    class Stream(Once, module.SyncByteStream):
        pass

    url = f"{oauth_server.api_url}/upload"
    with module.Client(auth=auth, timeout=30) as client:
        client.get(f"{oauth_server.api_url}/me")
        oauth_server.revoke_access_tokens()
        oauth_server.clear()
        request = module.Request("POST", url, headers=chunked_headers(url), stream=Stream())
        assert client.send(request).status_code == 401
        assert client.post(url, content=b"next").status_code == 200
    assert oauth_server.requests_to("api")[0].sha256 == SHA256
    assert [request.status for request in oauth_server.requests_to("api")] == [401, 200]


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_an_asynchronous_byte_stream_class_of_the_user_is_never_sent_short(oauth_server, auth, module):
    class Stream(AsyncOnce, module.AsyncByteStream):
        pass

    async def main():
        url = f"{oauth_server.api_url}/upload"
        async with module.AsyncClient(auth=auth, timeout=30) as client:
            await client.get(f"{oauth_server.api_url}/me")
            oauth_server.revoke_access_tokens()
            oauth_server.clear()
            request = module.Request("POST", url, headers=chunked_headers(url), stream=Stream())
            assert (await client.send(request)).status_code == 401
            assert (await client.post(url, content=b"next")).status_code == 200

    asyncio.run(main())
    assert oauth_server.requests_to("api")[0].sha256 == SHA256
    assert [request.status for request in oauth_server.requests_to("api")] == [401, 200]
