"""What may be listed as an origin or be used as an endpoint: TLS, loopback, or what is named as insecure."""

import pytest

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    InsecureTransportError,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
)
from video_oauth_auth.origin import Origins, checked_endpoint, insecure_members


@pytest.mark.parametrize(
    ("origin", "also"),
    [
        ("https://api.example.com/", "https://api.example.com/x"),
        ("https://API.example.com:443", "https://api.example.com/x"),
        ("https://bücher.example", "https://xn--bcher-kva.example/x"),
        ("http://localhost:8080", "http://localhost:8080/x"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"),
        ("http://127.8.9.10", "http://127.8.9.10/x"),
        ("http://[::1]:8080", "http://[::1]:8080/x"),
    ],
)
def test_https_and_loopback_may_be_listed(origin, also):
    assert Origins([origin]).holds(also)


@pytest.mark.parametrize(
    "origin",
    [
        "http://api.example.com",
        "http://10.0.0.1",
        "http://192.168.0.1:8080",
        "http://[2001:db8::1]",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example:127",
        "http://0.0.0.0",
        "http://keycloak:8080",
        "http://api.localhost.example",
    ],
)
def test_plain_http_has_to_be_named_as_insecure(origin):
    with pytest.raises(InsecureTransportError, match="insecure_origins"):
        Origins([origin])
    with pytest.raises(InsecureTransportError):
        checked_endpoint(f"{origin}/token", "token_endpoint")
    assert Origins([], [origin]).holds(f"{origin}/x")
    assert checked_endpoint(f"{origin}/token", "token_endpoint", insecure_members([origin])) == f"{origin}/token"


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "https://",
        "https:///path",
        "https://api.example.com/v1",
        "https://api.example.com?x=1",
        "https://api.example.com/?",
        "https://api.example.com#part",
        "https://api.example.com#",
        "https://user:an-invented-secret@api.example.com",
        "https://*.example.com",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://api.example.com:0",
        "https://api example.com",
        "https://api.example.com\n",
        "https://api.example.com\\@evil.example",
        "https://api.example.com https://b.example",
        "ftp://api.example.com",
        "javascript:alert(1)",
        b"https://api.example.com",
        None,
        7,
        ("https", "api.example.com", 443),
    ],
)
def test_what_is_no_origin_is_refused_at_once(origin):
    with pytest.raises(ConfigurationError) as caught:
        Origins([origin])
    assert "an-invented-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("origins", ["https://api.example.com", [], (), None, 7])
def test_origins_are_a_list_that_is_not_empty(origins):
    with pytest.raises(ConfigurationError):
        Origins(origins)


@pytest.mark.parametrize(
    "endpoint",
    [
        "login.example.com/token",
        "https://user:an-invented-secret@login.example.com/token",
        "https://login.example.com/token#part",
        "https://login.example.com/tok en",
        "https://login.example.com/token\r\nX-Evil: 1",
        "ftp://login.example.com/token",
        "http://login.example.com/token",
        None,
    ],
)
def test_a_token_endpoint_that_secrets_must_not_go_to_is_refused_before_anything_is_sent(endpoint):
    with pytest.raises((ConfigurationError, InsecureTransportError)) as caught:
        TokenSource(AuthorizationServer(token_endpoint=endpoint), OAuthClient("id", "secret"), ClientCredentials())
    assert "an-invented-secret" not in str(caught.value)


def test_the_insecure_way_is_not_opened_by_the_environment(monkeypatch):
    for name in ("OAUTHLIB_INSECURE_TRANSPORT", "AUTHLIB_INSECURE_TRANSPORT", "VIDEO_OAUTH_AUTH_INSECURE", "DEBUG"):
        monkeypatch.setenv(name, "1")
    source = TokenSource(
        AuthorizationServer(token_endpoint="https://l.example/"), OAuthClient("id"), ClientCredentials()
    )
    with pytest.raises(InsecureTransportError):
        OAuth2Auth(source, origins=["http://api.example.com"])
