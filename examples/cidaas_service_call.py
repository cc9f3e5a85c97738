"""Look up user groups of a cidaas tenant by their ids, all at once or one after the other.

    export CIDAAS_ISSUER=https://tenant.cidaas.de CIDAAS_CLIENT_ID=... CIDAAS_CLIENT_SECRET=...
    python examples/cidaas_service_call.py crew guests
    python examples/cidaas_service_call.py --sync crew guests

cidaas' services wrap what they say: {"success": true, "status": 200, "data": ...}. Their errors have other shapes,
and most of them a reference number for the vendor's support. The app has to be allowed to read groups
(cidaas:groups_read).

Needs: pip install "video-oauth-auth[demo]"
Exit status: 0 if all groups were found, 1 if some were not, 2 if nothing could be begun.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx

from video_oauth_auth import CidaasAuth, ConfigurationError, OAuth2Auth, OAuthError

GROUPS = "/groups-srv/usergroups"
TIMEOUT = 60  # seconds

Group = dict[str, Any]


class ServiceError(Exception):
    """A service did not give what was asked for."""


def fetch(auth: OAuth2Auth, base_url: str, ids: Sequence[str]) -> list[Group | ServiceError]:
    """Look up groups, one after the other."""
    found: list[Group | ServiceError] = []
    with httpx.Client(auth=auth, base_url=base_url, timeout=TIMEOUT) as client:
        for group_id in ids:
            answer = client.get(f"{GROUPS}/{quote(group_id, safe='')}")
            found.append(opened(answer))
    return found


async def fetch_at_once(auth: OAuth2Auth, base_url: str, ids: Sequence[str]) -> list[Group | ServiceError]:
    """Look up groups, all at once; they share one token and one token call."""
    async with httpx.AsyncClient(auth=auth, base_url=base_url, timeout=TIMEOUT) as client:
        answers = [client.get(f"{GROUPS}/{quote(group_id, safe='')}") for group_id in ids]
        return [opened(answer) for answer in await asyncio.gather(*answers)]


def opened(answer: httpx.Response) -> Group | ServiceError:
    """Take the data out of the envelope, or make an error of what is there instead."""
    if answer.status_code == 204:
        return ServiceError("there is no such group")
    try:
        envelope = answer.json()
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict):
        return ServiceError(f"HTTP {answer.status_code}")
    data = envelope.get("data")
    if answer.is_success and envelope.get("success") is True and isinstance(data, dict):
        return data
    return ServiceError(f"HTTP {answer.status_code} {reason(envelope)}".rstrip())


def reason(envelope: dict[str, Any]) -> str:
    """Find what went wrong: a service says it in an object, the gateway in a sentence beside its reference number."""
    error = envelope.get("error")
    if isinstance(error, dict):
        text, reference = f"{error.get('type', '')}: {error.get('error', '')}", error.get("referenceNumber")
    else:
        text, reference = str(error or ""), envelope.get("refnumber")
    return f"{text} (reference {reference})" if reference else text


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Look up user groups of a cidaas tenant.")
    parser.add_argument("ids", nargs="+", metavar="ID", help="of a group")
    parser.add_argument("--sync", action="store_true", help="one after the other, with a synchronous client")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, auth: OAuth2Auth | None = None, base_url: str = "") -> int:
    """Run the program; the keyword arguments let a test run it against another server."""
    arguments = parse(argv)
    try:
        auth = auth or CidaasAuth.from_env()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    base_url = base_url or os.environ.get("CIDAAS_ISSUER", "").strip()
    try:
        if arguments.sync:
            results = fetch(auth, base_url, arguments.ids)
        else:
            results = asyncio.run(fetch_at_once(auth, base_url, arguments.ids))
    except (OAuthError, httpx.HTTPError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for group_id, result in zip(arguments.ids, results, strict=True):
        if isinstance(result, ServiceError):
            print(f"{group_id}: {result}", file=sys.stderr)
    groups = [result for result in results if not isinstance(result, ServiceError)]
    print(json.dumps(groups, indent=2))
    return 0 if len(groups) == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
