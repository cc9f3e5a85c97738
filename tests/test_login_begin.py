"""Beginning a sign-in: the authorization request, and where there is none."""

import asyncio
import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import pytest

from video_oauth_auth import (
    AuthorizationCode,
    AuthorizationRequest,
    AuthorizationServer,
    BrightcoveAuth,
    CidaasAuth,
    ClientCredentials,
    ConfigurationError,
    DeviceCode,
    IBMVideoStreamingAuth,
    InvalidResponseError,
    MovingimageAuth,
    OAuth2Auth,
    OAuthClient,
    ResourceOwnerPassword,
    Token,
    TransportError,
)
from video_oauth_auth.testing import OAuthServer, with_members, without

from . import engine, sign_ins
from .sign_ins import LOOPBACK, PEOPLE, WEB, asked, auth_of, callback, whose

clock, server = engine.clock, sign_ins.server


# --- what a sign-in begins with -----------------------------------------------------------------------------------


def test_an_authorization_request_has_everything_that_the_answer_is_checked_with(server):
    pending = auth_of(server, scope="openid video").begin_login(user="ann")
    assert isinstance(pending, AuthorizationRequest)
    assert (pending.user, pending.redirect_uri) == ("ann", WEB)
    assert (pending.issuer, pending.client_id) == (server.issuer, server.client_id)
    assert pending.url.startswith(f"{server.authorization_server.authorization_endpoint}?")
    assert asked(pending) == {
        "response_type": "code",
        "client_id": server.client_id,
        "redirect_uri": WEB,
        "scope": "openid video",
        "state": pending.state,
        "nonce": pending.nonce,
        "code_challenge": urlsafe_b64encode(sha256(pending.code_verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert pending.code_verifier not in pending.url


def test_beginning_asks_the_server_for_nothing_but_its_metadata(server):
    auth = auth_of(server, metadata=server.issuer)
    auth.begin_login(user="ann")
    auth.begin_login(user="ann")
    assert [request.role for request in server.requests] == ["metadata"]


def test_verifier_state_and_nonce_have_256_bits_and_are_fresh_each_time(server):
    auth = auth_of(server)
    begun = [auth.begin_login(user="ann") for _ in range(200)]
    secrets = [text for one in begun for text in (one.code_verifier, one.state, one.nonce)]
    assert len(set(secrets)) == 600
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", text) for text in secrets)
    for position in range(42):  # the last character holds 4 bits only
        assert len({text[position] for text in secrets}) > 40
    assert len({asked(one)["code_challenge"] for one in begun}) == 200


def test_without_openid_no_nonce_is_sent_and_there_are_no_claims(server):
    auth = auth_of(server, scope="video")
    pending = auth.begin_login(user="ann")
    assert "nonce" not in asked(pending)
    token = auth.complete_login(pending, callback(pending))
    assert (token.id_token, token.claims) == (None, None)


@pytest.mark.parametrize(
    ("offered", "allowed", "method"),
    [
        (None, "S256", "S256"),
        ((), "plain", "S256"),
        (("S256",), "plain", "S256"),
        (("plain", "S256"), "plain", "S256"),
        (("plain",), "plain", "plain"),
    ],
)
def test_pkce_is_s256_wherever_the_server_can(server, offered, allowed, method):
    metadata = replace(server.authorization_server, code_challenge_methods_supported=offered)
    server.code_challenge_methods = ("S256", "plain")
    auth = auth_of(server, metadata=metadata, grant=AuthorizationCode(WEB, code_challenge_method=allowed))
    pending = auth.begin_login(user="ann")
    assert asked(pending)["code_challenge_method"] == method
    assert (asked(pending)["code_challenge"] == pending.code_verifier) is (method == "plain")
    assert auth.complete_login(pending, callback(pending)).access_token


@pytest.mark.parametrize(("offered", "allowed"), [(("plain",), "S256"), (("none",), "S256"), (("s256",), "plain")])
def test_pkce_is_never_made_weaker_unasked(server, offered, allowed):
    metadata = replace(server.authorization_server, code_challenge_methods_supported=offered)
    auth = auth_of(server, metadata=metadata, grant=AuthorizationCode(WEB, code_challenge_method=allowed))
    with pytest.raises(ConfigurationError, match=f"{offered[0]} for PKCE and not S256"):
        auth.begin_login(user="ann")


def test_a_server_that_refuses_the_verifier_is_not_asked_again_without_one(server):
    auth = auth_of(server)
    pending = auth.begin_login(user="ann")
    other = replace(pending, code_verifier="x" * 43)
    with pytest.raises(Exception, match="invalid_grant"):
        auth.complete_login(other, callback(pending))
    assert len(server.token_calls) == 1


# --- further parameters -------------------------------------------------------------------------------------------


def test_further_parameters_pass(server):
    more = {"prompt": "login", "login_hint": "ann@films.example", "ui_locales": "de en", "x": "ä&=+ /%20#?"}
    pending = auth_of(server).begin_login(user="ann", **more)
    assert {name: value for name, value in asked(pending).items() if name in more} == more


def test_further_parameters_come_before_those_of_the_grant(server):
    grant = AuthorizationCode(WEB, authorization_extra={"prompt": "consent", "lang": "de_DE"})
    found = asked(auth_of(server, grant=grant).begin_login(user="ann", prompt="login"))
    assert (found["prompt"], found["lang"]) == ("login", "de_DE")


def test_ibms_device_name_and_lang_pass():
    with OAuthServer.ibm_video_streaming(users=PEOPLE) as server:
        server.redirect_uris = (WEB,)
        auth = IBMVideoStreamingAuth(
            server.client_id, server.client_secret, redirect_uri=WEB, server=server.authorization_server,
            origins=[server.api_url], scope="broadcaster",
        )  # fmt: skip
        pending = auth.begin_login(user="ann", device_name="Studio 1", lang="en_US")
        assert {"device_name": "Studio 1", "lang": "en_US"}.items() <= asked(pending).items()
        token = auth.complete_login(pending, callback(pending))
        assert token.claims is None  # no keys are published that could verify anything
        assert whose(auth.for_user("ann"), server) == "ann"


OURS = [
    *("client_id", "client_secret", "response_type", "scope", "state", "nonce", "code_challenge"),
    *("code_challenge_method", "code_verifier", "request", "request_uri", "resource", "audience", "grant_type"),
]


@pytest.mark.parametrize("name", OURS)
def test_further_parameters_cannot_override_ours(server, name):
    with pytest.raises(ConfigurationError, match=f"{name}: the library sets"):
        auth_of(server).begin_login(user="ann", **{name: "mine"})


@pytest.mark.parametrize("value", [None, 5, True, ["a"], b"a"])
def test_further_parameters_are_text(server, value):
    with pytest.raises(ConfigurationError, match="prompt is none"):
        auth_of(server).begin_login(user="ann", prompt=value)


def test_an_endpoint_with_a_query_keeps_it(server):
    metadata = replace(
        server.authorization_server,
        authorization_endpoint=f"{server.authorization_server.authorization_endpoint}?tenant=films&theme=a%26b",
    )
    auth = auth_of(server, metadata=metadata)
    pending = auth.begin_login(user="ann")
    assert (asked(pending)["tenant"], asked(pending)["theme"]) == ("films", "a&b")
    assert auth.complete_login(pending, callback(pending)).claims["sub"] == "ann"


# --- where nobody can sign in -------------------------------------------------------------------------------------

HOSTILE = [
    "javascript:alert(1)",
    "-https://login.example.com/authorize",
    "--help",
    "http://login.example.com/authorize",
    "https://user:secret@login.example.com/authorize",
    "https://login.example.com/authorize#fragment",
    "https://login.example.com/auth orize",
    "https://login.example.com/authorize\n",
    "file:///etc/passwd",
    "data:text/html,hello",
    "//login.example.com/authorize",
    "/authorize",
    "https://",
    "https://login.example.com:99999/authorize",
]


@pytest.mark.parametrize("endpoint", HOSTILE)
def test_an_authorization_endpoint_that_is_no_url_to_open_begins_nothing(server, endpoint):
    server.metadata_faults.always(with_members(authorization_endpoint=endpoint))
    auth = auth_of(server, metadata=server.issuer)
    with pytest.raises(InvalidResponseError, match="authorization_endpoint in the metadata of"):
        auth.begin_login(user="ann")


@pytest.mark.parametrize("fault", [without("authorization_endpoint"), with_members(authorization_endpoint="")])
def test_a_server_without_authorization_endpoint_signs_nobody_in(server, fault):
    server.metadata_faults.always(fault)
    with pytest.raises(ConfigurationError, match="names no authorization_endpoint: nobody can sign in there"):
        auth_of(server, metadata=server.issuer).begin_login(user="ann")


def test_a_server_that_is_down_is_a_transport_error_and_nothing_is_begun(server):
    issuer = server.issuer
    server.stop()
    with pytest.raises(TransportError):
        auth_of(server, metadata=issuer, token_timeout=2).begin_login(user="ann")


class OwnProvider:
    """A token source that a user wrote."""

    def get_token(self, *, rejected=None):
        return Token(access_token="x")

    async def aget_token(self, *, rejected=None):
        return Token(access_token="x")


def without_people(server, kind):
    """An auth object where nobody can sign in in a browser."""
    known = {"server": server.authorization_server, "origins": [server.api_url]}
    match kind:
        case "a provider of one's own":
            return OAuth2Auth(OwnProvider(), origins=[server.api_url])
        case "Brightcove":
            return BrightcoveAuth("id", "secret", **known)
        case "movingimage by password":
            return MovingimageAuth(username="ann", password="x", **known)
        case "cidaas for machines":
            return CidaasAuth("https://tenant.cidaas.de", "id", "secret", origins=[server.api_url])
    grants = {
        "client credentials": ClientCredentials(),
        "a password": ResourceOwnerPassword("ann", "x"),
        "tokens from elsewhere": None,
        "device codes": DeviceCode(),
    }
    return auth_of(server, grant=grants[kind])


NO_SIGN_IN = {
    "a provider of one's own": "needs a TokenSource",
    "Brightcove": "client_credentials gets its tokens without a person",
    "movingimage by password": "password gets its tokens without a person",
    "cidaas for machines": "client_credentials gets its tokens without a person",
    "client credentials": "client_credentials gets its tokens without a person",
    "a password": "password gets its tokens without a person",
    "tokens from elsewhere": "needs AuthorizationCode",
    "device codes": "device_code; a sign-in in a browser needs AuthorizationCode",
}


def call(auth, half, pending):
    """Call a half of a sign-in."""
    begins = half.endswith("begin_login")
    called = getattr(auth, half)(
        **{"user": "ann", "redirect_uri": WEB} if begins else {"pending": pending, "response": "?"}
    )
    return asyncio.run(called) if half.startswith("a") else called


@pytest.mark.parametrize("half", ["begin_login", "complete_login", "abegin_login", "acomplete_login"])
@pytest.mark.parametrize("kind", NO_SIGN_IN)
def test_where_nobody_can_sign_in_both_halves_say_why(server, kind, half):
    auth = without_people(server, kind)
    pending = auth_of(server).begin_login(user="ann")
    with pytest.raises(ConfigurationError, match=NO_SIGN_IN[kind]):
        call(auth, half, pending)
    assert server.requests == ()


@pytest.mark.parametrize("kind", [kind for kind in NO_SIGN_IN if kind != "device codes"])
def test_where_nobody_can_sign_in_login_says_why(server, kind):
    opened = []
    with pytest.raises(ConfigurationError, match=NO_SIGN_IN[kind]):
        without_people(server, kind).login(open_browser=opened.append)
    assert (opened, server.requests) == ([], ())


def test_a_client_id_that_may_change_signs_nobody_in(server):
    client = OAuthClient("its-place", credentials=lambda: (server.client_id, server.client_secret))
    with pytest.raises(ConfigurationError, match="credentials="):
        auth_of(server, client=client).begin_login(user="ann")


# --- redirect URIs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirect_uri", [WEB, "com.example.films:/callback", "https://127.0.0.1:8765/callback"])
def test_without_a_user_only_loopback_will_do(server, redirect_uri):
    """Two customers of one web application must never share tokens."""
    auth = auth_of(server, redirect_uri=redirect_uri)
    with pytest.raises(ConfigurationError, match="user="):
        auth.begin_login()
    with pytest.raises(ConfigurationError, match="must never share tokens"):
        auth_of(server, redirect_uri=LOOPBACK).begin_login(redirect_uri=redirect_uri, user="")
    assert auth.begin_login(user="ann").user == "ann"
    assert auth.for_user("ann").begin_login().user == "ann"


@pytest.mark.parametrize(
    "redirect_uri", ["http://127.0.0.1:8765/callback", "http://[::1]:8765/", "http://localhost:8765/callback"]
)
def test_a_loopback_redirect_needs_no_user(server, redirect_uri):
    auth = auth_of(server, redirect_uri=redirect_uri)
    pending = auth.begin_login()
    assert pending.user == ""
    token = auth.complete_login(pending, callback(pending))
    assert auth.source.peek() == token
    assert auth.users() == []


BAD_REDIRECTS = {
    "none": (None, "needs a redirect_uri="),
    "port 0": ("http://127.0.0.1:0/callback", "port 0"),
    "no TLS": ("http://films.example/callback", "not https"),
    "user info": ("https://ann@films.example/callback", "user information"),
    "a fragment": ("https://films.example/callback#x", "fragment"),
    "a script": ("javascript:alert(1)", "no URI that a browser can come back to"),
    "out of band": ("urn:ietf:wg:oauth:2.0:oob", "no URI that a browser can come back to"),
    "a blank": ("https://films.example/call back", "characters that no URL has"),
    "a dash": ("-x:/callback", "no URI that a browser can come back to"),
}


@pytest.mark.parametrize(("redirect_uri", "message"), BAD_REDIRECTS.values(), ids=list(BAD_REDIRECTS))
def test_a_redirect_uri_that_no_answer_may_come_to_begins_nothing(server, redirect_uri, message):
    with pytest.raises(Exception, match=message) as caught:
        auth_of(server, redirect_uri=redirect_uri).begin_login(user="ann")
    assert type(caught.value).__name__ in ("ConfigurationError", "InsecureTransportError")
    assert server.requests == ()


def test_a_redirect_uri_with_a_query_comes_back_with_it(server):
    server.redirect_uris = (f"{WEB}?tenant=films",)
    auth = auth_of(server, redirect_uri=f"{WEB}?tenant=films")
    pending = auth.begin_login(user="ann")
    back = callback(pending)
    assert "tenant=films&code=" in back
    assert auth.complete_login(pending, back).claims["sub"] == "ann"
    assert server.token_calls[0].form["redirect_uri"] == f"{WEB}?tenant=films"


def test_metadata_without_issuer_know_the_server_by_its_token_endpoint(server):
    known = server.authorization_server
    metadata = AuthorizationServer(
        authorization_endpoint=known.authorization_endpoint, token_endpoint=known.token_endpoint
    )
    server.authorization_response_iss_parameter_supported = False
    auth = auth_of(server, metadata=metadata)
    pending = auth.begin_login(user="ann")
    assert pending.issuer == known.token_endpoint
    token = auth.complete_login(pending, callback(pending))
    assert token.id_token
    assert token.claims is None  # it could not be verified
