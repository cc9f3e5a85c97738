"""How a client proves who it is: by exactly one method, never in the URL, whatever characters its secret has."""

from base64 import b64decode
from itertools import chain, repeat
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    OAuth2Auth,
    OAuthClient,
    ResourceOwnerPassword,
    ResponseError,
    TokenSource,
)
from video_oauth_auth.client import ClientCredential, authentication_method
from video_oauth_auth.endpoints import HTTPRequest, form_request, grant_parameters, refresh_parameters
from video_oauth_auth.testing import OAuthServer

ENDPOINT = "https://login.example.com/token?tenant=7"
SERVER = AuthorizationServer(token_endpoint=ENDPOINT)


def build(credential: ClientCredential, method: str, parameters: Any = None) -> HTTPRequest:
    return form_request(ENDPOINT, credential, method, parameters or grant_parameters(ClientCredentials()))


def form_of(request: HTTPRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


def decoded_basic(header: str) -> tuple[str, str]:
    """Read HTTP Basic as a server does that follows RFC 6749, section 2.3.1."""
    scheme, _, credentials = header.partition(" ")
    assert scheme == "Basic"
    client_id, colon, secret = b64decode(credentials, validate=True).decode("ascii").partition(":")
    assert colon
    return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


# --- the three methods --------------------------------------------------------------------------------------------


@given(texts, texts)
@example("id", "s e+c%r:t/é~&=?#\"'\\")
@example("a:b", ":")
@example("%41", "+ %2B")
@example("\N{VIDEO CAMERA}", "\x00\x7f\r\n")
def test_basic_survives_every_character(client_id, secret):
    request = build(ClientCredential(client_id, secret), "client_secret_basic")
    assert decoded_basic(request.headers["Authorization"]) == (client_id, secret)
    assert form_of(request) == [("grant_type", "client_credentials")]


@given(texts, texts)
@example("id", "s e+c%r:t/é~&=?#\"'\\")
def test_post_survives_every_character(client_id, secret):
    request = build(ClientCredential(client_id, secret), "client_secret_post")
    assert sorted(form_of(request)) == sorted(
        [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", secret)]
    )
    assert "Authorization" not in request.headers


def test_none_sends_the_client_id_and_no_secret():
    request = build(ClientCredential("public"), "none", refresh_parameters("rt", None))
    assert sorted(form_of(request)) == [
        ("client_id", "public"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "rt"),
    ]
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
@pytest.mark.parametrize(
    "parameters",
    [
        grant_parameters(ClientCredentials(scope="a b", audience="https://api.example.com", extra={"tenant": "t"})),
        grant_parameters(
            ResourceOwnerPassword("ann", "pass&word=1", resource=["https://a.example", "https://b.example"])
        ),
        refresh_parameters("rt&=+ %", ClientCredentials(scope="a b", extra={"tenant": "t"})),
    ],
    ids=["client_credentials", "password", "refresh_token"],
)
def test_a_token_request_is_a_form_posted_to_the_endpoint_with_one_proof_of_who_asks(method, parameters):
    credential = ClientCredential("client", None if method == "none" else "an-invented-secret")
    request = build(credential, method, parameters)
    form = form_of(request)
    names = [name for name, _ in form]
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Accept-Encoding"] == "identity"
    assert len(names) - names.count("resource") == len(set(names) - {"resource"})
    assert all(value for _, value in form)
    proofs = ["Authorization" in request.headers, "client_secret" in names]
    assert proofs == [method == "client_secret_basic", method == "client_secret_post"]
    given_parameters = {name: value for name, value in parameters.items() if value and isinstance(value, str)}
    assert given_parameters.items() <= dict(form).items()
    assert [value for name, value in form if name == "resource"] == list(parameters.get("resource", ()))


def test_a_refresh_repeats_what_the_grant_asks_for_except_its_scope():
    grant = ClientCredentials(scope="a", audience="api", resource="https://a.example", extra={"tenant": "t"})
    assert {name: value for name, value in refresh_parameters("rt", grant).items() if value} == {
        "grant_type": "refresh_token",
        "refresh_token": "rt",
        "audience": "api",
        "resource": ("https://a.example",),
        "tenant": "t",
    }


# --- which method -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supported", "method"),
    [
        (None, "client_secret_basic"),
        (["client_secret_basic"], "client_secret_basic"),
        (["client_secret_post"], "client_secret_post"),
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["private_key_jwt", "client_secret_post"], "client_secret_post"),
    ],
)
def test_the_method_is_chosen_from_what_the_server_supports(supported, method):
    server = AuthorizationServer(token_endpoint=ENDPOINT, token_endpoint_auth_methods_supported=supported)
    assert authentication_method(OAuthClient("client", "secret"), server) == method
    assert authentication_method(OAuthClient("client"), server) == "none"


@pytest.mark.parametrize("supported", [[], ["private_key_jwt"], ["none"], ["tls_client_auth", "\x1b[31m"]])
def test_no_common_method_is_a_configuration_error_that_names_both_sides(supported):
    server = AuthorizationServer(token_endpoint=ENDPOINT, token_endpoint_auth_methods_supported=supported)
    with pytest.raises(ConfigurationError, match="client_secret_basic") as caught:
        authentication_method(OAuthClient("client", "secret"), server)
    assert "\x1b" not in str(caught.value)


def test_a_method_that_the_user_names_wins_over_the_metadata():
    server = AuthorizationServer(token_endpoint=ENDPOINT, token_endpoint_auth_methods_supported=["client_secret_basic"])
    chosen = OAuthClient("client", "secret", token_endpoint_auth_method="client_secret_post")
    assert authentication_method(chosen, server) == "client_secret_post"


# --- contradictions -----------------------------------------------------------------------------------------------


def pair() -> tuple[str, str]:
    return "client", "an-invented-secret"


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        ((), {}),
        (("",), {}),
        ((7,), {}),
        (("client", ""), {}),
        (("client", 7), {}),
        (("client", b"an-invented-secret"), {}),
        (("client", "an-invented-secret"), {"credentials": pair}),
        (("client", "an-invented-secret"), {"token_endpoint_auth_method": "none"}),
        (("client",), {"token_endpoint_auth_method": "client_secret_basic"}),
        (("client",), {"token_endpoint_auth_method": "client_secret_post"}),
        ((), {"credentials": pair, "token_endpoint_auth_method": "none"}),
        (("client", "an-invented-secret"), {"token_endpoint_auth_method": "basic"}),
        (("client", "an-invented-secret"), {"token_endpoint_auth_method": ""}),
        (("client", "an-invented-secret"), {"token_endpoint_auth_method": 7}),
        (("client", "an-invented-secret\ud800"), {}),
        (("client\ud800", "an-invented-secret"), {}),
        ((), {"credentials": ("client", "an-invented-secret")}),
    ],
)
def test_contradictions_are_told_when_the_client_is_made(arguments, keywords):
    with pytest.raises(ConfigurationError) as caught:
        OAuthClient(*arguments, **keywords)
    assert "an-invented-secret" not in f"{caught.value!r}"


RESERVED = ["grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "refresh_token"]
RESERVED += ["code", "code_verifier", "username", "password", "scope", "resource", "audience"]


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize(
    "grant", [ClientCredentials, lambda **keywords: ResourceOwnerPassword("ann", "pw", **keywords)]
)
def test_an_extra_parameter_never_doubles_one_of_ours(grant, name):
    with pytest.raises(ConfigurationError, match=name):
        grant(extra={name: "x", "tenant": "t"})


@pytest.mark.parametrize("resource", ["not-absolute", "https://a.example/#part", ["https://a.example", "/relative"]])
def test_a_resource_is_an_absolute_uri_without_fragment(resource):
    with pytest.raises(ConfigurationError, match="RFC 8707"):
        ClientCredentials(resource=resource)


# --- callables ----------------------------------------------------------------------------------------------------


def source_of(server: OAuthServer, client: OAuthClient) -> TokenSource:
    return TokenSource(server.authorization_server, client, ClientCredentials(), token_timeout=10.0)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("secret", ["plain", "s e+c%r:t/é~&=?#\"'\\", "%41%", "\N{VIDEO CAMERA}"])
def test_a_server_accepts_every_secret_by_either_method(method, secret):
    client_id = "cli:ent + %41 é"
    with OAuthServer(client_id=client_id, client_secret=secret) as server:
        client = OAuthClient(client_id, secret, token_endpoint_auth_method=method)
        source_of(server, client).get_token()
        (call,) = server.token_calls
    assert (call.header("Authorization") is None) is (method == "client_secret_post")
    assert secret not in f"{call.path}?{call.query}"


def test_a_secret_callable_is_asked_at_each_token_call(oauth_server):
    asked = []

    def secret() -> str:
        asked.append(1)
        return oauth_server.client_secret

    source = source_of(oauth_server, OAuthClient(oauth_server.client_id, secret))
    assert not asked
    first = source.get_token()
    oauth_server.change_secret("another-invented-secret")
    source.get_token(rejected=first)
    assert len(asked) == len(oauth_server.token_calls) == 2


def test_a_secret_that_was_replaced_meanwhile_is_read_once_more_at_once(oauth_server):
    secrets = iter(["an-outdated-secret", oauth_server.client_secret])
    source_of(oauth_server, OAuthClient(oauth_server.client_id, lambda: next(secrets))).get_token()
    assert [call.status for call in oauth_server.token_calls] == [401, 200]


def test_a_secret_that_stays_wrong_is_not_tried_again_and_again(oauth_server):
    source = source_of(oauth_server, OAuthClient(oauth_server.client_id, lambda: "a-wrong-secret"))
    for _ in range(5):
        with pytest.raises(ResponseError) as caught:
            source.get_token()
        assert caught.value.error == "invalid_client"
    assert len(oauth_server.token_calls) == 1


@pytest.mark.parametrize(
    "keywords",
    [
        {"client_id": "client", "client_secret": lambda: 1 / 0},
        {"client_id": "client", "client_secret": lambda: ""},
        {"client_id": "client", "client_secret": lambda: None},
        {"client_id": "client", "client_secret": lambda: b"an-invented-secret"},
        {"client_id": "client", "client_secret": lambda: {}["an-invented-secret"]},
        {"credentials": lambda: None},
        {"credentials": lambda: "an-invented-secret"},
        {"credentials": lambda: ("client",)},
        {"credentials": lambda: ("", "an-invented-secret")},
        {"credentials": lambda: ("client", None)},
    ],
)
def test_a_callable_that_fails_or_gives_nonsense_is_a_configuration_error_without_its_text(oauth_server, keywords):
    source = source_of(oauth_server, OAuthClient(**keywords))
    with pytest.raises(ConfigurationError) as caught:
        source.get_token()
    assert "an-invented-secret" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert oauth_server.token_calls == ()


def test_credentials_are_asked_at_each_token_call_and_replace_the_pair_as_a_whole(client, oauth_server):
    old, new = ("an-old-id", "an-old-secret"), (oauth_server.client_id, oauth_server.client_secret)
    pairs = chain([old], repeat(new))
    source = source_of(oauth_server, OAuthClient(credentials=lambda: next(pairs)))
    auth = OAuth2Auth(source, origins=[oauth_server.api_url])
    assert client.send(auth, "GET", f"{oauth_server.api_url}/me").json()["sub"] == oauth_server.client_id
    first, second = oauth_server.token_calls
    assert [decoded_basic(call.header("Authorization") or "") for call in (first, second)] == [old, new]
    assert (first.status, second.status) == (401, 200)
