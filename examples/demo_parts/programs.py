"""What a user writes. Nothing here knows about tokens: each session has an auth object, and that is all.

Two jobs, for requests, for httpx and httpx2, and for their asynchronous clients: `upload` is the way of Brightcove,
`pass_on` sends a film to an API that redirects it to a storage.
"""

import httpx
import httpx2
import requests

from .films import Film

HttpxClient = httpx.Client | httpx2.Client
HttpxAsyncClient = httpx.AsyncClient | httpx2.AsyncClient


def upload_with_requests(session: requests.Session, account: str, film: Film) -> None:
    """Create a video, ask where its file goes, put it there, ask for its ingestion."""
    created = session.post(f"{account}/videos", json={"name": film.name}, timeout=30)
    created.raise_for_status()
    video = f"{account}/videos/{created.json()['id']}"
    told = session.get(f"{video}/upload-urls/{film.name}", timeout=30)
    told.raise_for_status()
    with film.path.open("rb") as file:
        session.put(told.json()["signed_url"], data=file, timeout=30).raise_for_status()
    master = {"master": {"url": told.json()["api_request_url"]}}
    session.post(f"{video}/ingest-requests", json=master, timeout=30).raise_for_status()


def upload_with_httpx(client: HttpxClient, account: str, film: Film) -> None:
    """Do the same with httpx or httpx2."""
    created = client.post(f"{account}/videos", json={"name": film.name})
    created.raise_for_status()
    video = f"{account}/videos/{created.json()['id']}"
    told = client.get(f"{video}/upload-urls/{film.name}")
    told.raise_for_status()
    with film.path.open("rb") as file:
        client.put(told.json()["signed_url"], content=file).raise_for_status()
    master = {"master": {"url": told.json()["api_request_url"]}}
    client.post(f"{video}/ingest-requests", json=master).raise_for_status()


async def upload_with_async_httpx(client: HttpxAsyncClient, account: str, film: Film) -> None:
    """Do the same with httpx or httpx2, asynchronously."""
    created = await client.post(f"{account}/videos", json={"name": film.name})
    created.raise_for_status()
    video = f"{account}/videos/{created.json()['id']}"
    told = await client.get(f"{video}/upload-urls/{film.name}")
    told.raise_for_status()
    (await client.put(told.json()["signed_url"], content=film.path.read_bytes())).raise_for_status()
    master = {"master": {"url": told.json()["api_request_url"]}}
    (await client.post(f"{video}/ingest-requests", json=master)).raise_for_status()


def pass_on_with_requests(session: requests.Session, url: str, film: Film) -> None:
    """Send the whole film to the API, as an open file."""
    with film.path.open("rb") as file:
        session.put(url, data=file, timeout=30).raise_for_status()


def pass_on_with_httpx(client: HttpxClient, url: str, film: Film) -> None:
    """Send it from memory: httpx does not send a file a second time after a redirect."""
    client.put(url, content=film.path.read_bytes(), follow_redirects=True).raise_for_status()


async def pass_on_with_async_httpx(client: HttpxAsyncClient, url: str, film: Film) -> None:
    """Do the same asynchronously."""
    (await client.put(url, content=film.path.read_bytes(), follow_redirects=True)).raise_for_status()
