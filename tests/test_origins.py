"""Where tokens go, and where they never go."""

import asyncio
import io
import logging

import pytest
import requests

from video_oauth_auth import BrightcoveAuth, ConfigurationError, InsecureTransportError, OAuth2Auth, Token
from video_oauth_auth.testing import CHALLENGES, Answer, redirect

OURS = "https://api.example.com"
REDIRECTS = (301, 302, 303, 307, 308)


@pytest.fixture
def auth(oauth_server, auth_for):
    return auth_for(oauth_server)


class Fixed:
    """A user's own source with one token."""

    def get_token(self, *, rejected=None):
        return Token(access_token="the-token")

    async def aget_token(self, *, rejected=None):
        return self.get_token()


def following(client):
    """Give the keyword with which this library follows redirects."""
    return {} if client.library == "requests" else {"follow_redirects": True}


def sent_by(client, auth, url, *, answers=None, **keywords):
    """Send a GET without a network; give all requests that would have gone out, as (host, Authorization)."""
    sent = []

    def note(host, request):
        sent.append((host.lower(), request.headers.get("Authorization")))
        return (answers or {}).get(str(request.url), (200, {}))

    if client.library == "requests":

        class Adapter(requests.adapters.BaseAdapter):
            def send(self, request, **_):
                response = requests.Response()
                host = requests.utils.urlparse(request.url).hostname
                response.status_code, headers = note(host, request)
                response.headers.update(headers)
                response.request, response.url, response.raw = request, request.url, io.BytesIO()
                response.connection = self
                return response

            def close(self):
                pass

        settings = {"adapters": {"https://": Adapter(), "http://": Adapter()}}
    else:

        def answer(request):
            status, headers = note(request.url.raw_host.decode(), request)
            return client.module.Response(status, headers=headers)

        settings = {"transport": client.module.MockTransport(answer)}
    with client.session(auth, **settings) as send:
        send("GET", url, **keywords)
    return sent


def leaks(server):
    """Look for secrets in everything that the foreign site received."""
    seen = "\n".join(f"{r.path} {r.query} {r.headers} {r.body!r}" for r in server.requests_to("foreign"))
    return [secret for secret in server.secrets() if secret in seen]


# Which they are


def test_an_auth_object_tells_its_origins_as_a_person_writes_them(auth):
    one = OAuth2Auth(
        Fixed(),
        origins=["https://B.example.com:443/", "https://api.example.com:8443", "http://127.0.0.1:80", "http://[::1]:1"],
        insecure_origins=["http://api:8080"],
    )
    assert one.origins == (
        *("http://127.0.0.1", "http://[::1]:1", "http://api:8080", "https://127.0.0.1"),
        *("https://api.example.com:8443", "https://b.example.com"),
    )
    assert BrightcoveAuth("id", "secret", origins=[OURS]).origins == (OURS,)
    with pytest.raises(AttributeError):
        one.origins = ()


# Redirects


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("answer", [401, 403, "invalid_token", "back"])
def test_a_site_that_a_redirect_leads_to_never_sees_a_token(client, oauth_server, auth, status, answer):
    url, foreign = oauth_server.api_url, oauth_server.foreign_url
    oauth_server.foreign_answer = {
        401: Answer(401),
        403: Answer(403),
        "invalid_token": CHALLENGES["bearer"],
        "back": redirect(status, f"{url}/me"),
    }[answer]
    for method, body in (("GET", {}), ("POST", client.raw(b"film"))):
        target = f"{url}/redirect?to={foreign}/landing&status={status}"
        client.send(auth, method, target, **body, **following(client))
    received = oauth_server.requests_to("foreign")
    assert len(received) == 2  # none of them twice
    assert [request.header("Authorization") for request in received] == [None, None]
    assert not leaks(oauth_server)
    assert len(oauth_server.token_calls) == 1  # it can cause no renewal either
    assert client.send(auth, "GET", f"{url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 1


def test_a_site_that_a_replay_is_redirected_to_sees_neither_the_old_nor_the_new_token(client, oauth_server, auth):
    url, foreign = oauth_server.api_url, oauth_server.foreign_url
    oauth_server.foreign_answer = CHALLENGES["bearer"]
    assert client.send(auth, "GET", f"{url}/me").status_code == 200
    oauth_server.revoke_access_tokens()
    response = client.send(auth, "GET", f"{url}/redirect?to={foreign}/&status=307", **following(client))
    assert response.status_code == 401
    assert [request.token_state for request in oauth_server.requests_to("api")] == ["live", "revoked", "live"]
    assert [request.header("Authorization") for request in oauth_server.requests_to("foreign")] == [None]
    assert not leaks(oauth_server)


def test_a_foreign_site_that_redirects_to_ours_gets_no_token_out_of_it(client, oauth_server, auth):
    oauth_server.foreign_answer = redirect(307, f"{oauth_server.api_url}/me")
    client.send(auth, "GET", oauth_server.foreign_url, **following(client))
    assert [request.header("Authorization") for request in oauth_server.requests_to("foreign")] == [None]


# Which URLs are ours

GO = {
    "path": f"{OURS}/v1/videos",
    "no path": OURS,
    "query without path": f"{OURS}?limit=1",
    "default port": f"{OURS}:443/v1",
    "upper case": "HTTPS://API.EXAMPLE.COM/v1",
    "user information": "https://user:password@api.example.com/v1",
    "fragment": f"{OURS}/#@evil.example",
}
STAY = {
    "other port": f"{OURS}:8443/v1",
    "http": "http://api.example.com/v1",
    "http to the https port": "http://api.example.com:443/v1",
    "trailing dot": f"{OURS}./v1",
    "longer host": f"{OURS}.evil.example/v1",
    "other subdomain": "https://cms.example.com/v1",
    "deeper subdomain": "https://sub.api.example.com/v1",
    "parent domain": "https://example.com/v1",
    "prefix": "https://evilapi.example.com/v1",
    "ours as user information": "https://api.example.com@evil.example/v1",
    "ours as user and password": "https://api.example.com:443@evil.example/v1",
    "ours in the path": f"https://evil.example/{OURS}/v1",
    "ours in the query": f"https://evil.example/?url={OURS}/v1",
    "ours in the fragment": f"https://evil.example/#@{OURS}/v1",
    "look-alike letters": "https://\u0430pi.example.com/v1",
}


@pytest.mark.parametrize("url", GO.values(), ids=GO)
def test_the_token_goes_to_every_url_of_a_listed_origin(client, url):
    auth = OAuth2Auth(Fixed(), origins=[OURS])
    assert sent_by(client, auth, url) == [("api.example.com", "Bearer the-token")]


@pytest.mark.parametrize("url", STAY.values(), ids=STAY)
def test_the_token_goes_to_no_other_url_however_similar(client, url):
    ((_, authorization),) = sent_by(client, OAuth2Auth(Fixed(), origins=[OURS]), url)
    assert authorization != "Bearer the-token"


AMBIGUOUS = {
    "backslash before @": "https://evil.example\\@api.example.com/v1",
    "backslash after ours": "https://api.example.com\\@evil.example/v1",
    "encoded slash": "https://api.example.com%2f@evil.example/v1",
    "encoded dot": "https://api%2eexample.com/v1",
    "full-width dot": "https://api.example\uff0ecom/v1",
    "two @": "https://a@api.example.com@evil.example/v1",
    "tab": "https://api.example.com\t.evil.example/v1",
    "empty port": f"{OURS}:/v1",
}


@pytest.mark.parametrize("url", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_where_readers_of_urls_disagree_the_token_follows_the_host_that_is_connected_to(client, url):
    refused = (client.module.RequestException, ValueError) if client.library == "requests" else client.module.InvalidURL
    try:
        sent = sent_by(client, OAuth2Auth(Fixed(), origins=[OURS]), url)
    except refused:
        return  # the library sends nothing to such a URL
    for host, authorization in sent:
        assert (authorization == "Bearer the-token") == (host == "api.example.com")


@pytest.mark.parametrize("listed", ["https://bücher.example", "https://xn--bcher-kva.example"])
@pytest.mark.parametrize("url", ["https://bücher.example/v1", "https://xn--bcher-kva.example/v1"])
def test_an_international_host_is_the_same_in_both_spellings(client, listed, url):
    assert sent_by(client, OAuth2Auth(Fixed(), origins=[listed]), url)[0][1] == "Bearer the-token"


def test_an_ipv6_origin_can_be_listed(client):
    auth = OAuth2Auth(Fixed(), origins=["https://[2001:db8::1]:8443"])
    assert sent_by(client, auth, "https://[2001:db8::1]:8443/v1")[0][1] == "Bearer the-token"
    assert sent_by(client, auth, "https://[2001:db8::1]/v1")[0][1] is None


def test_an_insecure_origin_gets_the_token_only_where_it_is_named_as_one(client):
    auth = OAuth2Auth(Fixed(), origins=[OURS], insecure_origins=("http://api:8080",))
    assert sent_by(client, auth, "http://api:8080/v1")[0][1] == "Bearer the-token"
    assert sent_by(client, auth, f"{OURS}/v1")[0][1] == "Bearer the-token"
    assert sent_by(client, auth, "http://api/v1")[0][1] is None
    assert sent_by(client, auth, "http://api.example.com/v1")[0][1] is None


def test_the_origins_given_replace_those_that_a_platform_knows():
    known = BrightcoveAuth("id", "secret", token="the-token")
    assert known.headers("https://cms.api.brightcove.com/v1/accounts/1/videos") == {"Authorization": "Bearer the-token"}
    other = BrightcoveAuth("id", "secret", token="the-token", origins=[OURS])
    assert other.headers("https://cms.api.brightcove.com/v1/accounts/1/videos") == {}


# Uploads, own headers, warnings


def test_a_presigned_upload_url_gets_the_film_and_no_token(client, oauth_server, auth):
    with client.session(auth) as send:
        assert send("GET", f"{oauth_server.api_url}/me").status_code == 200
        assert send("PUT", oauth_server.presigned_url("film.mp4"), **client.raw(b"film")).status_code == 200
    assert oauth_server.uploads["film.mp4"].size == 4
    assert oauth_server.requests_to("storage")[0].header("Authorization") is None


def test_a_users_own_authorization_header_is_replaced_on_our_origins_and_left_alone_elsewhere(
    client, oauth_server, auth
):
    own = {"Authorization": "Basic bWU6bWU="}
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me", headers=own).status_code == 200
    client.send(auth, "GET", oauth_server.foreign_url, headers=own)
    assert oauth_server.requests_to("foreign")[0].header("Authorization") == own["Authorization"]


@pytest.mark.parametrize("status", [401, 403])
def test_one_warning_for_each_origin_says_that_no_token_was_sent_there(client, oauth_server, auth, caplog, status):
    oauth_server.foreign_answer = Answer(status)
    with client.session(auth) as send:
        for _ in range(3):
            assert send("GET", f"{oauth_server.foreign_url}/videos?secret=in-the-query").status_code == status
        assert send("PUT", f"{oauth_server.storage_url}/unsigned", **client.raw(b"film")).status_code == 403
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 2
    for warning, origin in zip(warnings, (oauth_server.foreign_url, oauth_server.storage_url), strict=True):
        assert origin in warning
        assert oauth_server.api_url in warning
        assert "in-the-query" not in warning
    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} == {"video_oauth_auth"}
    assert not oauth_server.token_calls


def test_no_warning_where_a_foreign_origin_is_content(client, oauth_server, auth, caplog):
    assert client.send(auth, "GET", oauth_server.foreign_url).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# headers() and aheaders()


def test_headers_gives_what_a_request_to_this_url_needs(oauth_server, auth):
    token = auth.source.get_token().access_token
    assert auth.headers(f"{oauth_server.api_url}/me") == {"Authorization": f"Bearer {token}"}
    assert auth.headers(oauth_server.foreign_url) == {}


async def _aheaders(auth, url):
    return await auth.aheaders(url)


def test_aheaders_gives_the_same(oauth_server, auth):
    url = f"{oauth_server.api_url}/me"
    headers = asyncio.run(asyncio.wait_for(_aheaders(auth, url), 30))
    assert headers == auth.headers(url) != {}
    assert asyncio.run(_aheaders(auth, oauth_server.foreign_url)) == {}
    assert len(oauth_server.token_calls) == 1


def test_headers_for_a_foreign_url_needs_no_token(oauth_server, auth):
    assert auth.headers(oauth_server.foreign_url) == {}
    assert not oauth_server.token_calls


# Construction


@pytest.mark.parametrize("origins", [[], OURS, [f"{OURS}/v1"], ["https://*.example.com"], [f"{OURS}:99999"]])
def test_origins_that_cannot_be_meant_are_refused_when_the_auth_object_is_made(origins):
    with pytest.raises(ConfigurationError):
        OAuth2Auth(Fixed(), origins=origins)


def test_an_origin_without_tls_has_to_be_named_as_insecure():
    with pytest.raises(InsecureTransportError, match="insecure_origins"):
        OAuth2Auth(Fixed(), origins=["http://api:8080"])


@pytest.mark.parametrize("scheme", ["", "Bearer ", "Bea rer", "Bearer\r\nX-Other:", "Träger"])
def test_a_scheme_that_cannot_stand_in_a_header_is_refused(scheme):
    with pytest.raises(ConfigurationError):
        OAuth2Auth(Fixed(), origins=[OURS], scheme=scheme)


@pytest.mark.parametrize("source", [None, "token", Fixed, object(), lambda: "token"])
def test_a_source_that_is_none_is_refused_when_the_auth_object_is_made(source):
    with pytest.raises(ConfigurationError):
        OAuth2Auth(source, origins=[OURS])


@pytest.mark.parametrize("called_with", [None, "https://api.example.com", {}, object()])
def test_something_that_calls_the_auth_object_like_a_function_is_told_how_to_use_it(called_with):
    with pytest.raises(ConfigurationError, match="auth="):
        OAuth2Auth(Fixed(), origins=[OURS])(called_with)
