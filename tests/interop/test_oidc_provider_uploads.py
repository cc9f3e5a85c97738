"""Uploads whose access token oidc-provider has revoked: the API must get every byte, compared by SHA-256."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from video_oauth_auth import ClientCredentials

from .callers import OPENERS, Answer, Caller, open_caller
from .exchange import Exchange, current
from .oidc_provider import RegisteredClient


def put_bytes(caller: Caller, url: str, path: Path) -> Answer:
    return caller.put(url, content=path.read_bytes())


def put_bytes_io(caller: Caller, url: str, path: Path) -> Answer:
    return caller.put(url, content=io.BytesIO(path.read_bytes()))


def put_file(caller: Caller, url: str, path: Path) -> Answer:
    with path.open("rb") as file:
        return caller.put(url, content=file)


def put_multipart_bytes_io(caller: Caller, url: str, path: Path) -> Answer:
    return caller.put(url, file=io.BytesIO(path.read_bytes()))


def put_multipart_file(caller: Caller, url: str, path: Path) -> Answer:
    with path.open("rb") as file:
        return caller.put(url, file=file)


EVERYWHERE = (put_bytes, put_multipart_bytes_io, put_multipart_file)
# The async clients themselves refuse a file object as a body: they take it in a multipart body only.
UPLOADS = [
    pytest.param(library, put, id=f"{library}-{put.__name__}")
    for library in OPENERS
    for put in (EVERYWHERE if library.endswith("async") else (*EVERYWHERE, put_bytes_io, put_file))
]


@pytest.mark.parametrize(("library", "put"), UPLOADS)
def test_an_upload_that_meets_a_401_arrives_whole(
    library: str,
    put: Callable[[Caller, str, Path], Answer],
    exchange: Exchange,
    register: Callable[..., RegisteredClient],
    tmp_path: Path,
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"\0\0\0\x18ftypmp42" + os.urandom(3 * 1024 * 1024 + 17))
    client = register()
    auth = exchange.auth(client, ClientCredentials())
    with open_caller(library, auth) as caller:
        assert caller.get(f"{exchange.api.origin}/warm-up").status == 200
        exchange.revoke(client, current(auth))
        answer = put(caller, exchange.url, video)

    assert answer.status == 200
    assert exchange.statuses() == [401, 200]
    refused, accepted = exchange.received()
    assert accepted.body == refused.body
    assert answer.json["sha256"] == sha256(accepted.body)
    assert sha256(uploaded(accepted.body)) == sha256(video.read_bytes())


def uploaded(body: bytes) -> bytes:
    """The content of the one part of a multipart body, or a plain body itself."""
    if not body.startswith(b"--"):
        return body
    boundary, _, part = body.partition(b"\r\n")
    _, _, content = part.partition(b"\r\n\r\n")
    return content.removesuffix(b"\r\n" + boundary + b"--\r\n")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
