"""What each platform receives first, byte for byte: discovery, the token request, the API call, the refresh.

Written for the platforms' real hosts, whose names lead to the bundled server here. Every row is one request:
its line, its headers in alphabetical order, its body. `{access}` is the token of that moment, and so on.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import pytest

from video_oauth_auth import CidaasAuth, IBMVideoStreamingAuth, MovingimageAuth
from video_oauth_auth.testing import OAuthServer

from .conftest import Client
from .world import hosts_lead_to

ID, SECRET = "test client:1", "a+secret/of=test&ers"
BASIC = b64encode(f"{quote_plus(ID)}:{quote_plus(SECRET)}".encode()).decode()
FORM_ID, FORM_SECRET = quote_plus(ID), quote_plus(SECRET)
RAW_SECRET = "bc345abc45d6789abcdef0123aef0126789def01"

OURS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "video-oauth-auth"}
THEIRS = {"accept": "*/*", "accept-encoding": "identity", "connection": "keep-alive", "user-agent": "a-program"}


def discovery(host: str, target: str) -> str:
    return written(f"GET {target}", OURS | {"host": host})


def token_call(host: str, path: str, body: str, **headers: str) -> str:
    content = {"content-type": "application/x-www-form-urlencoded", "content-length": "{length}"}
    return written(f"POST {path}", OURS | {"host": host, "connection": "close"} | content | headers, in_order(body))


def api_call(host: str, target: str, authorization: str) -> str:
    return written(f"GET {target}", THEIRS | {"host": host, "authorization": authorization})


def in_order(form: str) -> str:
    return "&".join(sorted(form.split("&")))


def written(line: str, headers: dict[str, str], body: str = "") -> str:
    return "\n".join([line, *(f"{name}: {value}" for name, value in sorted(headers.items())), "", body])


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One row of the table: how to begin, and everything that is received then.

    Attributes:
        server, auth: make the bundled server and the auth object.
        hosts: the real origins, and which attribute of the server has the address that stands for each.
        url: the API call.
        discovery: the requests before the first token request.
        first: the first token request; `api` the API call with its token.
        again: the token request after a 401.
    """

    server: Callable[[], Any]
    auth: Callable[[], Any]
    hosts: dict[str, str]
    public: dict[str, str] = field(default_factory=dict)
    url: str
    discovery: tuple[str, ...] = ()
    first: str
    api: str
    again: str


MI_TOKEN = ("login.movingimage.com", "/auth/realms/platform/protocol/openid-connect/token")
MI_USER = "password=it%27s+%C3%A4+secret%26&username=ann%40example.com"
IBM_TOKEN = ("video.ibm.com", "/oauth2/token")
CIDAAS_TOKEN = ("accounts.example.com", "/token-srv/token")
JWT_REPORT = (
    "https://analytics-api.video.ibm.com/v1/total-views/summary"
    "?date_time_from=2030-07-01T00%3A00%3A00Z&date_time_to=2030-08-01T00%3A00%3A00Z"
)
MI_HOSTS = {"https://login.movingimage.com": "url", "https://api.video-cdn.net": "api_url"}
IBM_HOSTS = {
    "https://video.ibm.com": "url",
    "https://api.video.ibm.com": "api_url",
    "https://analytics-api.video.ibm.com": "analytics_url",
}
MI_DISCOVERY = (
    discovery("api.video-cdn.net", "/.well-known/webfinger?resource=https%3A%2F%2Fapi.video-cdn.net%2Fv1%2F"),
    discovery("login.movingimage.com", "/auth/realms/platform/.well-known/openid-configuration"),
)


def movingimage(users: dict[str, str]) -> Callable[[], Any]:
    return lambda: OAuthServer.movingimage(client_id=ID, client_secret=SECRET, users=users)


def ibm(secret: str) -> Callable[[], Any]:
    return lambda: OAuthServer.ibm_video_streaming(client_id=ID, client_secret=secret)


ANN = {"ann@example.com": "it's ä secret&"}
PLATFORMS = {
    "movingimage": Platform(
        server=movingimage(ANN),
        auth=lambda: MovingimageAuth(username="ann@example.com", password="it's ä secret&"),
        hosts=MI_HOSTS,
        public={"token": "https://login.movingimage.com", "api": "https://api.video-cdn.net"},
        url="https://api.video-cdn.net/v1/vms",
        discovery=MI_DISCOVERY,
        first=token_call(
            *MI_TOKEN, f"client_id=anonymous&grant_type=password&{MI_USER}&response_type=token&scope=openid"
        ),
        api=api_call("api.video-cdn.net", "/v1/vms", "Bearer {access}"),
        again=token_call(
            *MI_TOKEN,
            "client_id=anonymous&grant_type=refresh_token&refresh_token={refresh}&response_type=token",
        ),
    ),
    "ibm, secret in the body": Platform(
        server=ibm(SECRET),
        auth=lambda: IBMVideoStreamingAuth(ID, SECRET),
        hosts=IBM_HOSTS,
        url="https://api.video.ibm.com/users/self/channels.json?p=1&pagesize=100",
        first=token_call(*IBM_TOKEN, f"client_id={FORM_ID}&client_secret={FORM_SECRET}&grant_type=client_credentials"),
        api=api_call("api.video.ibm.com", "/users/self/channels.json?p=1&pagesize=100", "Bearer {access}"),
        again=token_call(
            *IBM_TOKEN,
            f"client_id={FORM_ID}&client_secret={FORM_SECRET}&grant_type=refresh_token&refresh_token={{refresh}}",
        ),
    ),
    "ibm, bare secret after Basic": Platform(
        server=ibm(RAW_SECRET),
        auth=lambda: IBMVideoStreamingAuth(ID, RAW_SECRET, token_endpoint_auth_method="raw_secret_basic"),
        hosts=IBM_HOSTS,
        url="https://api.video.ibm.com/users/self/channels.json?p=1&pagesize=100",
        first=token_call(
            *IBM_TOKEN, f"client_id={FORM_ID}&grant_type=client_credentials", authorization=f"Basic {RAW_SECRET}"
        ),
        api=api_call("api.video.ibm.com", "/users/self/channels.json?p=1&pagesize=100", "Bearer {access}"),
        again=token_call(
            *IBM_TOKEN,
            f"client_id={FORM_ID}&grant_type=refresh_token&refresh_token={{refresh}}",
            authorization=f"Basic {RAW_SECRET}",
        ),
    ),
    "ibm, Analytics": Platform(
        server=ibm(SECRET),
        auth=lambda: IBMVideoStreamingAuth(ID, SECRET, token_type="jwt"),
        hosts=IBM_HOSTS,
        url=JWT_REPORT,
        first=token_call(
            *IBM_TOKEN,
            f"client_id={FORM_ID}&client_secret={FORM_SECRET}&grant_type=client_credentials&token_type=jwt",
        ),
        api=api_call(
            "analytics-api.video.ibm.com", JWT_REPORT.removeprefix("https://analytics-api.video.ibm.com"), "{access}"
        ),
        again=token_call(
            *IBM_TOKEN,
            f"client_id={FORM_ID}&client_secret={FORM_SECRET}&grant_type=refresh_token&refresh_token={{refresh}}"
            "&token_type=jwt",
        ),
    ),
    "cidaas": Platform(
        server=lambda: OAuthServer.cidaas(client_id=ID, client_secret=SECRET),
        auth=lambda: CidaasAuth("https://accounts.example.com/", ID, SECRET, scope="offline_access"),
        hosts={"https://accounts.example.com": "url"},
        public={"token": "https://accounts.example.com"},
        url="https://accounts.example.com/users-srv/userinfo",
        discovery=(discovery("accounts.example.com", "/.well-known/openid-configuration"),),
        first=token_call(
            *CIDAAS_TOKEN, "grant_type=client_credentials&scope=offline_access", authorization=f"Basic {BASIC}"
        ),
        api=api_call("accounts.example.com", "/users-srv/userinfo", "Bearer {access}"),
        again=token_call(
            *CIDAAS_TOKEN, "grant_type=refresh_token&refresh_token={refresh}", authorization=f"Basic {BASIC}"
        ),
    ),
}


def received(request: Any, names: dict[str, str]) -> str:
    """Write a recorded request as the table does; the order of the form parameters means nothing.

    requests fills in the Host from where the name leads: `names` tells whose address that is.
    """
    line = f"{request.method} {request.path}" + (f"?{request.query}" if request.query else "")
    body = request.body.decode("ascii")
    if request.role == "token":
        body = in_order(body)
    assert request.size == len(request.body)
    headers = {name.lower(): value for name, value in request.headers}
    assert len(headers) == len(request.headers), "a header came twice"
    return written(line, headers | {"host": names.get(headers["host"], headers["host"])}, body)


def filled(row: str, **values: str) -> str:
    row = re.sub(r"\{(access|refresh)\}", lambda match: values[match[1]], row)
    return row.replace("{length}", str(len(row.partition("\n\n")[2])))


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_the_first_requests_byte_for_byte(library, name):
    platform = PLATFORMS[name]
    auth = platform.auth()
    with platform.server() as server:
        server.public_origins = platform.public
        leads = {host: getattr(server, attribute) for host, attribute in platform.hosts.items()}
        with hosts_lead_to(leads), Client(library).session(auth, headers=THEIRS) as send:
            assert send("GET", platform.url).status_code == 200
            first = auth.source.peek()
            assert server.revoke_access_token(first.access_token)
            assert send("GET", platform.url).status_code == 200
            second = auth.source.peek()
        names = {address.partition("//")[2]: host.partition("//")[2] for host, address in leads.items()}
        requests = server.requests
    old = {"access": first.access_token, "refresh": first.refresh_token}
    rows = [*platform.discovery, platform.first, platform.api, platform.api, platform.again]
    expected = [*(filled(row, **old) for row in rows), filled(platform.api, access=second.access_token)]
    assert [received(request, names) for request in requests] == expected
    assert [request.status for request in requests[-3:]] == [401, 200, 200]
