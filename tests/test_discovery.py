"""An issuer's endpoints are found when they are first needed, from documents that name exactly that issuer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import httpx
import pytest
import respx

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    InsecureTransportError,
    InvalidResponseError,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    OAuthError,
    TokenSource,
    TransportError,
    discover,
    documents,
)
from video_oauth_auth.testing import Drip, Hold, OAuthServer, json_answer, unavailable

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


def metadata(issuer: str, **more: object) -> dict[str, object]:
    return {"issuer": issuer, "token_endpoint": f"{issuer.rstrip('/')}/token"} | more


def source_of(server: OAuthServer, **settings: object) -> TokenSource:
    client = OAuthClient(server.client_id, server.client_secret)
    return TokenSource(server.url, client, ClientCredentials(), **settings)  # type: ignore[arg-type]


def roles(server: OAuthServer) -> list[str]:
    return [request.role for request in server.requests]


# --- where documents are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "found_at"),
    [
        ("https://login.example.com", "https://login.example.com" + OPENID),
        ("https://login.example.com", "https://login.example.com" + OAUTH),
        ("https://login.example.com/realms/tv", "https://login.example.com/realms/tv" + OPENID),
        ("https://login.example.com/realms/tv", "https://login.example.com" + OAUTH + "/realms/tv"),
        ("https://login.example.com/", "https://login.example.com" + OPENID),
        ("https://login.example.com:8443/a", "https://login.example.com:8443/a" + OPENID),
    ],
)
def test_metadata_are_found_in_both_well_known_forms(issuer, found_at):
    with respx.mock(assert_all_called=False) as mock:
        mock.get(found_at).respond(json=metadata(issuer, tenant="tv"))
        mock.route().respond(404)
        server = discover(issuer)
    assert (server.issuer, server.token_endpoint) == (issuer, metadata(issuer)["token_endpoint"])
    assert server.extra == {"tenant": "tv"}


@pytest.mark.parametrize(
    "named",
    [
        "https://login.example.com/",
        "https://LOGIN.example.com",
        "https://login.example.com:443",
        "https://login.example.com.evil.example",
        "http://login.example.com",
        "",
        None,
        7,
        ["https://login.example.com"],
    ],
)
def test_a_document_that_names_another_issuer_is_not_used(named):
    with respx.mock as mock:
        mock.get("https://login.example.com" + OPENID).respond(json=metadata("https://x.example") | {"issuer": named})
        with pytest.raises(InvalidResponseError, match="same to the letter"):
            discover("https://login.example.com")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://login.example.com/token",
        "https://user:pw@login.example.com/token",
        "https://login.example.com/token#part",
        "https://login.example.com/to ken",
        "https://login.example.com/\ttoken",
        "//login.example.com/token",
        "/token",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "-oProxyCommand=x",
        "https://",
        "",
        None,
        {"url": "https://login.example.com/token"},
    ],
)
def test_a_token_endpoint_that_secrets_must_not_be_sent_to_is_refused(endpoint):
    with respx.mock as mock:
        members = metadata("https://login.example.com") | {"token_endpoint": endpoint}
        mock.get("https://login.example.com" + OPENID).respond(json=members)
        with pytest.raises(InvalidResponseError):
            discover("https://login.example.com")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"[]",
        b"null",
        b'{"issuer":',
        b'"https://login.example.com"',
        b"[" * 100_000,
        b'{"issuer":"https://evil.example","issuer":"https://login.example.com"}',
        b'{"issuer":"https://login.example.com","x":NaN}',
        b'{"issuer":"https://login.example.com","x":"\\ud800"}',
        '{"issuer":"https://login.example.com"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_object_is_no_metadata(body):
    with respx.mock as mock:
        mock.get("https://login.example.com" + OPENID).respond(content=body)
        with pytest.raises(InvalidResponseError, match="no JSON object"):
            discover("https://login.example.com")


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint_auth_methods_supported"])
def test_a_known_member_of_the_wrong_type_is_refused(name):
    with respx.mock as mock:
        mock.get("https://login.example.com" + OPENID).respond(json=metadata("https://login.example.com", **{name: 7}))
        with pytest.raises(InvalidResponseError, match=name):
            discover("https://login.example.com")


def test_a_redirect_is_not_followed(oauth_server):
    oauth_server.metadata_faults.always(json_answer(302, {}, headers=(("Location", oauth_server.foreign_url),)))
    with pytest.raises(InvalidResponseError, match="302"):
        discover(oauth_server.url)
    assert "foreign" not in roles(oauth_server)


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer", ["", "login.example.com", "https://", "https://a.example/?x=1", "https://a.example/#x", 7]
)
def test_an_issuer_that_is_no_url_is_told_when_the_source_is_made(issuer):
    with pytest.raises(ConfigurationError):
        TokenSource(issuer, OAuthClient("client", "an-invented-secret"), ClientCredentials())


def test_an_issuer_without_tls_is_told_when_the_source_is_made():
    with pytest.raises(InsecureTransportError):
        TokenSource("http://login.example.com", OAuthClient("client", "an-invented-secret"), ClientCredentials())


def test_the_url_of_a_document_is_told_from_an_issuer():
    with pytest.raises(ConfigurationError, match="give the issuer without"):
        discover("https://login.example.com" + OPENID)


def test_a_token_endpoint_given_as_issuer_gets_a_message_that_says_so(oauth_server):
    with pytest.raises(
        InvalidResponseError, match=r"looks like a token endpoint.*AuthorizationServer\(token_endpoint="
    ):
        discover(oauth_server.token_endpoint)


@pytest.mark.parametrize("path", ["/v4/access_token", "/oauth2/token", "/oauth2/token/"])
@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, {}),
        (405, {"json": {"error": "invalid_request"}}),
        (200, {"html": "<html></html>"}),
        (200, {"json": {"error": "invalid_request"}}),
        (200, {"json": metadata("https://login.example.com")}),
        (501, {}),
    ],
)
def test_whatever_a_token_endpoint_answers_it_is_told_that_it_looks_like_one(path, status, content):
    issuer = f"https://login.example.com{path}"
    with respx.mock() as mock:
        mock.route(host="login.example.com").mock(return_value=httpx.Response(status, **content))
        with pytest.raises(OAuthError, match="This looks like a token endpoint") as caught:
            discover(issuer)
    assert str(caught.value).endswith(f"AuthorizationServer(token_endpoint={issuer!r})")


@pytest.mark.parametrize("issuer", ["https://login.example.com", "https://login.example.com/token/tv"])
def test_no_other_issuer_is_taken_for_one(issuer):
    with respx.mock() as mock:
        mock.route(host="login.example.com").respond(404)
        with pytest.raises(InvalidResponseError, match=r"no metadata: \S+ and \S+ answered 404$"):
            discover(issuer)


# --- in a source ----------------------------------------------------------------------------------------------------


def test_discovery_happens_when_the_first_token_is_needed_and_only_then(oauth_server):
    source = source_of(oauth_server)
    assert not oauth_server.requests
    assert source.key.issuer == oauth_server.url
    source.get_token()
    source.reset()
    source.get_token()
    assert roles(oauth_server) == ["metadata", "token", "token"]


def test_fifty_waiters_make_one_discovery(oauth_server):
    source = source_of(oauth_server)
    barrier = threading.Barrier(50)

    def ask() -> str:
        barrier.wait(10)
        return source.get_token().access_token

    with ThreadPoolExecutor(50) as pool:
        tokens = {future.result(30) for future in [pool.submit(ask) for _ in range(50)]}
    assert len(tokens) == 1
    assert roles(oauth_server) == ["metadata", "token"]


def test_a_failing_discovery_does_not_poison_later_tries(oauth_server):
    oauth_server.metadata_faults.add(unavailable(), times=2)
    source_of(oauth_server).get_token()
    assert roles(oauth_server).count("metadata") == 3


def test_discovery_is_part_of_the_budget(oauth_server):
    oauth_server.metadata_faults.always(Drip("body", interval=0.05, total=20))
    with pytest.raises(TransportError, match="token_timeout"):
        source_of(oauth_server, token_timeout=0.5).get_token()


def test_a_lost_discovery_is_no_lost_refresh(oauth_server):
    """No secret has left: the refresh token is presented as often as ever."""
    oauth_server.metadata_faults.add(unavailable(), times=4)
    oauth_server.refresh_tokens = True
    given = oauth_server.issue_token()
    client = OAuthClient(oauth_server.client_id, oauth_server.client_secret)
    source = TokenSource(oauth_server.url, client, None, token={**given, "expires_at": 1.0})
    source.get_token()
    assert roles(oauth_server)[-1] == "token"


def test_metadata_choose_the_client_authentication(oauth_server):
    oauth_server.token_endpoint_auth_methods = ("client_secret_post",)
    source_of(oauth_server).get_token()
    (call,) = oauth_server.token_calls
    assert call.header("Authorization") is None
    assert call.form["client_id"] == oauth_server.client_id


def test_an_issuer_is_enough_for_client_credentials(client, oauth_server):
    auth = OAuth2Auth.client_credentials(
        oauth_server.url, oauth_server.client_id, oauth_server.client_secret, origins=[oauth_server.api_url]
    )
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").status_code == 200


def test_metadata_with_an_issuer_and_no_token_endpoint_are_completed(oauth_server):
    client = OAuthClient(oauth_server.client_id, oauth_server.client_secret)
    TokenSource(AuthorizationServer(issuer=oauth_server.url), client, ClientCredentials()).get_token()
    assert roles(oauth_server) == ["metadata", "token"]


# --- how long documents are kept --------------------------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch):
    """Move the clock that documents age by."""
    real, moved = documents.now, [0.0]
    monkeypatch.setattr(documents, "now", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({}, 3600),
        ({"Cache-Control": "public, max-age=120"}, 120),
        ({"Cache-Control": "max-age=1"}, 60),
        ({"Cache-Control": "max-age=999999999"}, 86400),
        ({"Cache-Control": "no-store"}, 60),
        ({"Expires": formatdate(0, usegmt=True)}, 60),
        ({"Expires": "tomorrow"}, 60),
        ({"Cache-Control": "max-age=300", "Expires": formatdate(0, usegmt=True)}, 300),
    ],
)
def test_a_document_is_kept_as_long_as_its_headers_say_within_bounds(oauth_server, later, headers, kept):
    source = source_of(oauth_server)
    members = metadata(oauth_server.url) | {"token_endpoint": oauth_server.token_endpoint}
    oauth_server.metadata_faults.always(json_answer(200, members, headers=tuple(headers.items())))
    for seconds, fetched in ((0, 1), (kept - 5, 1), (10, 2)):
        later(seconds)
        source.reset()
        source.get_token()
        assert roles(oauth_server).count("metadata") == fetched


def test_an_old_document_serves_while_the_server_that_has_it_is_down_but_not_for_ever(oauth_server, later):
    source = source_of(oauth_server, token_timeout=0.5)
    source.get_token()
    oauth_server.metadata_faults.always(unavailable())
    later(3601)
    for _ in range(3):
        source.reset()
        source.get_token()
    assert roles(oauth_server).count("metadata") == 2  # tried once, and again only after a minute
    later(2 * 86400)
    source.reset()
    with pytest.raises(TransportError):
        source.get_token()


# --- movingimage: from an API host to its issuer ----------------------------------------------------------------------

ISSUER = "https://login.tv.example/auth/realms/platform"


def finger(href: object, **more: object) -> dict[str, object]:
    links = [{"rel": "self", "href": "x"}, {"rel": "http://openid.net/specs/connect/1.0/issuer", "href": href}]
    return {"subject": "https://api.tv.example/v1/", "links": links} | more


def ask_movingimage() -> httpx.Request:
    """Get a token from a customer's own domain; give the token request."""
    auth = MovingimageAuth(username="ann", password="an-invented-password", api_url="https://api.tv.example/v1/")
    assert auth.headers("https://api.tv.example/v1/vms") == {"Authorization": "Bearer token-1"}
    assert auth.headers("https://api.video-cdn.net/v1/vms") == {}
    return respx.calls.last.request


@pytest.mark.parametrize("href", [ISSUER + OPENID, ISSUER])
def test_a_webfinger_link_may_be_the_documents_url_or_the_issuer(href):
    with respx.mock as mock:
        asked = mock.get("https://api.tv.example/.well-known/webfinger").respond(json=finger(href))
        mock.get(ISSUER + OPENID).respond(json=metadata(ISSUER))
        token = mock.post(f"{ISSUER}/token").respond(json={"access_token": "token-1", "expires_in": 300})
        ask_movingimage()
    assert str(asked.calls.last.request.url.params["resource"]) == "https://api.tv.example/v1/"
    assert token.called


def test_a_webfinger_server_that_is_down_can_be_asked_later():
    with respx.mock as mock:
        mock.get("https://api.tv.example/.well-known/webfinger").respond(503)
        auth = MovingimageAuth(username="ann", password="pw", api_url="https://api.tv.example/v1/", token_timeout=1.0)
        with pytest.raises(TransportError, match="503"):
            auth.headers("https://api.tv.example/v1/vms")


def test_the_document_behind_a_webfinger_link_has_to_name_the_issuer_it_is_filed_under():
    with respx.mock as mock:
        mock.get("https://api.tv.example/.well-known/webfinger").respond(json=finger(ISSUER + OPENID))
        mock.get(ISSUER + OPENID).respond(json=metadata("https://evil.example"))
        with pytest.raises(InvalidResponseError, match="same to the letter"):
            ask_movingimage()


@pytest.mark.parametrize(
    "jrd",
    [
        finger("http://login.tv.example/x"),
        finger("javascript:x"),
        finger(None),
        {},
        {"links": "x"},
        {"links": [7]},
    ],
)
def test_a_webfinger_answer_without_a_usable_issuer_is_told(jrd):
    with respx.mock as mock:
        mock.get("https://api.tv.example/.well-known/webfinger").respond(json=jrd)
        with pytest.raises(InvalidResponseError, match="webfinger"):
            ask_movingimage()


def test_waiting_for_a_held_discovery_does_not_block_others(oauth_server):
    """Another source goes on while one waits for its document."""
    oauth_server.metadata_faults.add(Hold(2))
    waiting = source_of(oauth_server)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(waiting.get_token)
        oauth_server.wait_for(lambda: oauth_server.held)
        client = OAuthClient(oauth_server.client_id, oauth_server.client_secret)
        other = TokenSource(
            AuthorizationServer(token_endpoint=oauth_server.token_endpoint), client, ClientCredentials()
        )
        assert other.get_token()
        oauth_server.release()
        assert answer.result(10)
