"""Documents from elsewhere cannot make us send secrets to programs on this machine."""

import httpx
import pytest

from video_oauth_auth import (
    ClientCredentials,
    InvalidResponseError,
    MovingimageAuth,
    OAuthClient,
    TokenSource,
    token_calls,
)

from . import sign_ins
from .sign_ins import auth_of, sign_in

server = sign_ins.server

ISSUER = "https://login.example.com"
API = "https://api.video-cdn.net/v1/"
HERE = ["http://127.0.0.1:2375", "http://localhost:6379", "http://[::1]:9200"]
ENDPOINTS = [
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(token_calls, "FIRST_DELAY", 0.0)


class Elsewhere:
    """Hosts beyond this machine, and whatever should not be asked.

    Attributes:
        documents: what is answered, by URL.
        forms: what came to each URL that has no document.
    """

    def __init__(self, *issuers, **members):
        self.documents = {
            f"{issuer}/.well-known/openid-configuration": metadata(issuer, **members) for issuer in issuers
        }
        self.forms = []

    def __call__(self, request):
        url = str(request.url)
        if "/.well-known/webfinger?" in url:
            url = "webfinger"
        if url in self.documents:
            return httpx.Response(200, json=self.documents[url])
        self.forms.append(url)
        return httpx.Response(200, json={"access_token": "an invented token", "expires_in": 300})

    def client(self):
        return httpx.Client(transport=httpx.MockTransport(self))


def metadata(issuer, **members):
    return {"issuer": issuer, "token_endpoint": f"{issuer}/token", **members}


def source_at(elsewhere, issuer=ISSUER, **settings):
    client = OAuthClient("movies-and-more", "an-invented-secret")
    return TokenSource(issuer, client, ClientCredentials(), http_client=elsewhere.client(), **settings)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_metadata_of_another_host_cannot_name_this_machine(name):
    elsewhere = Elsewhere(ISSUER, **{name: "http://127.0.0.1:2375/x"})
    with pytest.raises(InvalidResponseError, match=rf"this machine as its {name}, http://127\.0\.0\.1:2375: if that"):
        source_at(elsewhere).get_token()
    assert elsewhere.forms == []


@pytest.mark.parametrize("here", HERE)
def test_this_machine_has_several_names(here):
    elsewhere = Elsewhere(ISSUER, token_endpoint=f"{here}/token")
    with pytest.raises(InvalidResponseError, match="a program on this machine"):
        source_at(elsewhere).get_token()
    assert elsewhere.forms == []


@pytest.mark.parametrize("here", HERE)
def test_insecure_origins_may_name_it(here):
    elsewhere = Elsewhere(ISSUER, token_endpoint=f"{here}/token")
    with pytest.raises(InvalidResponseError):
        source_at(elsewhere, insecure_origins=["http://127.0.0.1:1"]).get_token()
    assert source_at(elsewhere, insecure_origins=[here]).get_token().access_token == "an invented token"
    assert elsewhere.forms == [f"{here}/token"]


def test_with_tls_a_program_on_this_machine_shows_who_it_is():
    elsewhere = Elsewhere(ISSUER, token_endpoint="https://localhost:8443/token")
    source_at(elsewhere).get_token()
    assert elsewhere.forms == ["https://localhost:8443/token"]


@pytest.mark.parametrize("here", HERE)
def test_an_issuer_on_this_machine_may_name_this_machine(here):
    elsewhere = Elsewhere(here, token_endpoint="http://127.0.0.1:1/token")
    source_at(elsewhere, issuer=here).get_token()
    assert elsewhere.forms == ["http://127.0.0.1:1/token"]


def test_the_bundled_server_on_this_machine_can_be_discovered(server):
    assert sign_in(auth_of(server, metadata=server.issuer)).issued_by == server.issuer


# --- WebFinger ----------------------------------------------------------------------------------------------------


def movingimage(elsewhere, link, **settings):
    elsewhere.documents["webfinger"] = {
        "links": [{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": link}],
    }
    return MovingimageAuth(
        username="an invented user", password="an invented password", http_client=elsewhere.client(), **settings
    )


@pytest.mark.parametrize("here", HERE)
def test_webfinger_of_another_host_cannot_name_this_machine(here):
    elsewhere = Elsewhere(here)
    with pytest.raises(InvalidResponseError, match="this machine as its issuer link"):
        movingimage(elsewhere, here).source.get_token()
    assert elsewhere.forms == []


def test_webfinger_may_name_what_insecure_origins_lists():
    elsewhere = Elsewhere(HERE[0])
    auth = movingimage(elsewhere, HERE[0], insecure_origins=[HERE[0]])
    assert auth.source.get_token().issued_by == HERE[0]
    assert elsewhere.forms == [f"{HERE[0]}/token"]


def test_webfinger_of_this_machine_may_name_this_machine():
    elsewhere = Elsewhere(HERE[0])
    auth = movingimage(elsewhere, HERE[0], api_url="http://127.0.0.1:8000/v1/", origins=["http://127.0.0.1:8000"])
    auth.source.get_token()
    assert elsewhere.forms == [f"{HERE[0]}/token"]
