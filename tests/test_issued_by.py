"""A token knows who gave it, and its refresh token goes to nobody else, wherever an API points later."""

import json
from dataclasses import replace
from urllib.parse import parse_qs

import httpx
import pytest

from video_oauth_auth import (
    AuthorizationServer,
    LoginRequired,
    MemoryStore,
    MovingimageAuth,
    OAuthClient,
    Token,
    TokenSource,
)
from video_oauth_auth.stores.encoding import decoded, encoded
from video_oauth_auth.testing.store_contract import make_key, make_token, members

from . import sign_ins
from .engine import aged, source_of
from .sign_ins import auth_of, sign_in

server = sign_ins.server

OLD, NEW = "https://old.example.com", "https://new.example.com"


class Movingimage:
    """An API that names its issuer, and all issuers that it may name.

    Attributes:
        issuer: which it names now.
        calls: the host and the form of each token call.
    """

    def __init__(self):
        self.issuer = OLD
        self.calls = []

    def __call__(self, request):
        if "webfinger" in request.url.path:
            links = [{"rel": "http://openid.net/specs/connect/1.0/issuer", "href": self.issuer}]
            return httpx.Response(200, json={"links": links})
        host = f"https://{request.url.host}"
        if request.url.path.endswith("openid-configuration"):
            return httpx.Response(200, json={"issuer": host, "token_endpoint": f"{host}/token"})
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.calls.append((host, form))
        token = {"access_token": f"token {len(self.calls)}", "expires_in": 300, "refresh_token": f"of {host}"}
        return httpx.Response(200, json=token)

    def auth(self, store, **keywords):
        """An auth object of a new process."""
        client = httpx.Client(transport=httpx.MockTransport(self))
        return MovingimageAuth(http_client=client, store=store, **keywords)


FOR_PEOPLE = {
    "client_id": "movies-and-more",
    "client_secret": "an-invented-secret",
    "redirect_uri": sign_ins.LOOPBACK,
}
BY_PASSWORD = {"username": "an invented user", "password": "an invented password"}
ENDED = {"access_token": "x", "refresh_token": "from elsewhere", "expires_at": 1}


def renewed(auth):
    """The token after the one that is there."""
    return auth.source.get_token(rejected=auth.source.get_token())


@pytest.fixture
def api():
    return Movingimage()


@pytest.fixture
def store():
    return MemoryStore()


def test_a_refresh_token_is_not_sent_to_another_issuer(api, store):
    source = api.auth(store, **FOR_PEOPLE, token=ENDED).source
    assert source.get_token().issued_by == OLD
    api.issuer = NEW
    later = api.auth(store, **FOR_PEOPLE).source
    kept = later.get_token()  # good as it is
    calls = len(api.calls)
    with pytest.raises(LoginRequired) as caught:
        later.get_token(rejected=kept)
    assert caught.value.reason == "refresh_expired"
    assert len(api.calls) == calls
    assert store.load(later.key) == kept
    api.issuer = OLD
    assert renewed(api.auth(store, **FOR_PEOPLE)) != kept
    assert api.calls[-1] == (OLD, api.calls[-1][1] | {"grant_type": "refresh_token", "refresh_token": f"of {OLD}"})


def test_a_grant_that_needs_no_person_asks_the_new_issuer_again(api, store):
    kept = api.auth(store, **BY_PASSWORD).source.get_token()
    api.issuer = NEW
    newer = renewed(api.auth(store, **BY_PASSWORD))
    assert (kept.issued_by, newer.issued_by) == (OLD, NEW)
    assert [(host, form["grant_type"], form.get("refresh_token")) for host, form in api.calls] == [
        (OLD, "password", None),
        (NEW, "password", None),
    ]


def test_a_token_that_does_not_say_who_gave_it_is_refreshed_where_we_are(api, store):
    """One that was given as `token=`, or stored by a version that did not know."""
    api.issuer = NEW
    assert api.auth(store, **FOR_PEOPLE, token=ENDED).source.get_token().issued_by == NEW
    assert api.calls[0][1]["refresh_token"] == "from elsewhere"


def test_sign_ins_refreshes_and_grants_say_who_gave_the_token(server):
    auth = auth_of(server)
    token = sign_in(auth)
    newer = auth.for_user("ann").source.get_token(rejected=token)
    assert token != newer
    assert [one.issued_by for one in (token, newer, source_of(server).get_token())] == [server.issuer] * 3


@pytest.mark.parametrize("known", [None, OLD])
def test_a_source_that_knows_no_issuer_refreshes_whatever_it_has(server, known):
    metadata = AuthorizationServer(token_endpoint=server.token_endpoint)
    client = OAuthClient(server.client_id, server.client_secret)
    given = replace(aged(server, 301), issued_by=known)
    source = TokenSource(metadata, client, None, token=given)
    token = source.get_token()
    newer = source.get_token(rejected=token)
    assert len({given.access_token, token.access_token, newer.access_token}) == 3
    assert (token.issued_by, newer.issued_by) == (None, None)


def test_who_gave_a_token_is_stored_with_it():
    key, token = make_key("ann"), replace(make_token(), issued_by=OLD)
    assert members(decoded(encoded(key, token)).token) == members(token)
    assert decoded(encoded(key, token)).token.issued_by == OLD
    older = json.loads(encoded(key, token))
    del older["issued_by"]
    assert members(decoded(json.dumps(older).encode()).token) == members(replace(token, issued_by=None))
    assert Token(access_token="x").issued_by is None
