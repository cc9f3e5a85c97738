"""Token calls in a company: through a proxy, with an own CA, with a client certificate."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
import requests

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
    TransportError,
    exchange,
)
from video_oauth_auth.testing import OAuthServer

from .corporate_network import Authority, ConnectProxy, TokenServer, connect_proxy, token_server

USER, PASSWORD = "ann", "her p@ss/w#rd: 100%"
USERINFO = "ann:her%20p%40ss%2Fw%23rd%3A%20100%25"
SETTINGS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY")

libraries = pytest.mark.parametrize("library", [requests, httpx, httpx2], ids=lambda module: module.__name__)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SETTINGS, "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(exchange, "_contexts", {})  # as in a process that was started with this environment


@pytest.fixture
def company(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "company-ca")


@pytest.fixture
def server(company: Authority) -> Iterator[TokenServer]:
    with token_server(company.issue("login")) as running:
        yield running


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with connect_proxy(USER, PASSWORD) as running:
        yield running


def client_with(library: ModuleType, *, ca: Path, proxy: str = "", certificate: Path | None = None) -> Any:
    """Make a session or client with the settings of a company, as docs/how_to/corporate_network.md does."""
    if library is requests:
        session = requests.Session()
        session.verify = str(ca)
        session.proxies = {"https": proxy} if proxy else {}
        session.cert = None if certificate is None else str(certificate)
        return session
    context = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return library.Client(verify=context, proxy=proxy or None)


def source_at(server: TokenServer, *, http_client: Any = None, token_timeout: float = 20.0) -> TokenSource:
    """Make a source for a token endpoint behind TLS."""
    return TokenSource(
        AuthorizationServer(token_endpoint=server.token_endpoint),
        OAuthClient("id", "secret"),
        ClientCredentials(),
        http_client=http_client,
        token_timeout=token_timeout,
    )


def get_by(library: ModuleType, source: TokenSource, api: OAuthServer) -> Any:
    """Make a request that needs a token, whose call is then made by this library."""
    auth = OAuth2Auth(source, origins=[api.api_url])
    return library.get(f"{api.api_url}/echo", auth=auth, timeout=30)


def trust(library: ModuleType, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the CA in the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE" if library is requests else "SSL_CERT_FILE", str(ca))


# Own CA


@libraries
def test_a_server_with_a_certificate_of_an_own_ca_is_trusted_by_http_client(
    library: ModuleType, server: TokenServer, company: Authority
) -> None:
    with client_with(library, ca=company.path) as client:
        assert source_at(server, http_client=client).get_token().access_token == "over-tls"


@libraries
def test_without_the_ca_the_message_says_what_does_not_apply_and_what_to_give(
    library: ModuleType, server: TokenServer, oauth_server: OAuthServer
) -> None:
    with pytest.raises(TransportError) as caught:
        get_by(library, source_at(server), oauth_server)
    assert "certificate verify failed" in str(caught.value)
    assert str(caught.value).endswith(
        "The verify=, cert= and proxies= of your own session do not apply to token calls; "
        "give a session or client that has them as http_client="
    )
    assert not caught.value.sent
    assert server.received == []


@libraries
def test_another_ca_is_not_enough(library: ModuleType, server: TokenServer, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other-ca")
    with (
        client_with(library, ca=other.path) as client,
        pytest.raises(TransportError, match="certificate verify failed"),
    ):
        source_at(server, http_client=client).get_token()


def test_in_requests_the_bundle_of_the_environment_wins_over_the_session(
    server: TokenServer, company: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path, "other-ca").path))
    with client_with(requests, ca=company.path) as session:
        with pytest.raises(TransportError, match="certificate verify failed"):
            source_at(server, http_client=session).get_token()
        session.trust_env = False
        assert source_at(server, http_client=session).get_token().access_token == "over-tls"


@libraries
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verify_false_counts_in_a_client_that_is_lent_and_nowhere_else(
    library: ModuleType, server: TokenServer, oauth_server: OAuthServer
) -> None:
    with library.Session() if library is requests else library.Client(verify=False) as client:
        client.verify = False
        client.auth = OAuth2Auth(source_at(server), origins=[oauth_server.api_url])
        with pytest.raises(TransportError, match="certificate verify failed"):
            client.get(f"{oauth_server.api_url}/echo")
        assert source_at(server, http_client=client).get_token().access_token == "over-tls"


SYSTEM_CAS = """
import ssl, sys, requests, httpx, truststore
from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuthClient, OAuth2Auth, TokenSource

library, token_endpoint, api = sys.argv[1:]
client = None
if library == "requests":
    truststore.inject_into_ssl()
else:
    client = httpx.Client(verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)
server = AuthorizationServer(token_endpoint=token_endpoint)
source = TokenSource(server, OAuthClient("id", "secret"), ClientCredentials(), http_client=client)
auth = OAuth2Auth(source, origins=[api])
(requests if library == "requests" else httpx).get(api + "/echo", auth=auth, timeout=30)
print(source.peek().access_token)
"""


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_truststore_brings_the_cas_of_the_system(
    library: str, server: TokenServer, company: Authority, oauth_server: OAuthServer
) -> None:
    command = [sys.executable, "-c", SYSTEM_CAS, library, server.token_endpoint, oauth_server.api_url]
    # Where OpenSSL looks for the CAs of the system; requests itself does not.
    environment = {**os.environ, "SSL_CERT_FILE": str(company.path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout == "over-tls\n", run.stderr


# A proxy


@libraries
def test_a_token_call_goes_through_a_proxy_that_wants_a_password(
    library: ModuleType, server: TokenServer, company: Authority, proxy: ConnectProxy
) -> None:
    with client_with(library, ca=company.path, proxy=proxy.url(USERINFO)) as client:
        assert source_at(server, http_client=client).get_token().access_token == "over-tls"
    (tunnel,) = proxy.tunnels
    assert tunnel.target == server.token_endpoint.removeprefix("https://").removesuffix("/token")
    assert tunnel.authorization == proxy.wanted
    assert "proxy-authorization" not in server.headers[0]


@libraries
@pytest.mark.parametrize("lower", [False, True], ids=["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_and_a_ca_of_the_environment_need_no_http_client(
    library: ModuleType,
    lower: bool,
    server: TokenServer,
    company: Authority,
    proxy: ConnectProxy,
    oauth_server: OAuthServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy" if lower else "HTTPS_PROXY", proxy.url(USERINFO))
    trust(library, company.path, monkeypatch)
    assert get_by(library, source_at(server), oauth_server).status_code == 401  # a token of another server
    assert [tunnel.authorization for tunnel in proxy.tunnels] == [proxy.wanted] * len(server.received)
    assert server.received


@libraries
def test_hosts_in_no_proxy_are_reached_directly(
    library: ModuleType,
    server: TokenServer,
    company: Authority,
    proxy: ConnectProxy,
    oauth_server: OAuthServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(USERINFO))
    monkeypatch.setenv("NO_PROXY", "login.example.com,127.0.0.1")
    trust(library, company.path, monkeypatch)
    get_by(library, source_at(server), oauth_server)
    assert server.received
    assert proxy.tunnels == []


@libraries
def test_a_client_that_does_not_look_at_the_environment_goes_past_its_proxy(
    library: ModuleType, server: TokenServer, company: Authority, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(USERINFO))
    if library is requests:
        client = client_with(requests, ca=company.path)
        client.trust_env = False
    else:
        client = library.Client(verify=ssl.create_default_context(cafile=company.path), trust_env=False)
    with client:
        assert source_at(server, http_client=client).get_token().access_token == "over-tls"
    assert proxy.tunnels == []


def test_in_requests_the_proxy_of_the_environment_wins_over_the_session(
    server: TokenServer, company: Authority, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(USERINFO))
    with client_with(requests, ca=company.path, proxy="http://127.0.0.1:1") as session:
        assert source_at(server, http_client=session).get_token().access_token == "over-tls"
    assert len(proxy.tunnels) == 1


@libraries
def test_a_proxy_that_is_given_is_used_whatever_no_proxy_says(
    library: ModuleType, server: TokenServer, company: Authority, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with client_with(library, ca=company.path, proxy=proxy.url(USERINFO)) as client:
        assert source_at(server, http_client=client).get_token().access_token == "over-tls"
    assert len(proxy.tunnels) == 1


@libraries
@pytest.mark.parametrize("userinfo", ["", "ann:not-her-password"], ids=["no password", "a wrong one"])
def test_a_proxy_that_refuses_is_named_with_what_to_do_and_without_a_password(
    library: ModuleType,
    userinfo: str,
    server: TokenServer,
    company: Authority,
    proxy: ConnectProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_with(library, ca=company.path, proxy=proxy.url(userinfo))
    with client, pytest.raises(TransportError) as caught:
        source_at(server, http_client=client).get_token()
    assert "407 Proxy Authentication Required" in str(caught.value)
    assert "http_client=" not in str(caught.value)  # one was given
    assert caught.value.transient
    assert not caught.value.sent  # a refresh token would not be lost
    assert len(proxy.tunnels) == 3  # some proxies lock an account after a few more
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert server.received == []
    assert "not-her-password" not in f"{caught.value!r} {caplog.text}"
    assert not userinfo or proxy.tunnels[0].authorization not in (None, proxy.wanted)


@libraries
def test_no_password_of_a_proxy_is_shown_where_the_call_goes_well(
    library: ModuleType,
    server: TokenServer,
    company: Authority,
    proxy: ConnectProxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with client_with(library, ca=company.path, proxy=proxy.url(USERINFO)) as client:
        source = source_at(server, http_client=client)
        source.get_token()
    shown = f"{caplog.text} {source!r} {source.status()!r}"
    assert proxy.wanted is not None
    for secret in (PASSWORD, USERINFO.partition(":")[2], proxy.wanted.removeprefix("Basic ")):
        assert secret not in shown


@libraries
def test_a_proxy_that_is_not_there_is_told_without_its_password(
    library: ModuleType, server: TokenServer, company: Authority
) -> None:
    client = client_with(library, ca=company.path, proxy=f"http://{USERINFO}@127.0.0.1:1")
    with client, pytest.raises(TransportError, match="onnection refused") as caught:
        source_at(server, http_client=client, token_timeout=1).get_token()
    assert not caught.value.sent
    assert USERINFO not in str(caught.value)


@libraries
@pytest.mark.parametrize("place", ["given", "environment"])
def test_a_password_that_is_not_encoded_is_not_shown(
    library: ModuleType, place: str, server: TokenServer, company: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://ann:se#cret@127.0.0.1:1"
    client = None
    if place == "environment":
        monkeypatch.setenv("HTTPS_PROXY", url)
    elif library is requests:
        client = client_with(library, ca=company.path, proxy=url)
    else:
        with pytest.raises(library.InvalidURL):  # told when the client is made
            client_with(library, ca=company.path, proxy=url)
        return
    source = source_at(server, http_client=client)
    with pytest.raises(TransportError, match="URL of a proxy cannot be read") as caught:
        source.wait(library=library.__name__)
    assert "'se" not in str(caught.value)
    assert not caught.value.sent


def test_a_ca_bundle_that_is_not_there_is_named(server: TokenServer, tmp_path: Path) -> None:
    session = requests.Session()
    session.verify = str(tmp_path / "missing-ca.pem")
    with pytest.raises(TransportError, match=r"there is no CA bundle .*missing-ca\.pem") as caught:
        source_at(server, http_client=session).get_token()
    assert not caught.value.sent


# A client certificate


@pytest.fixture
def staff(tmp_path: Path) -> Authority:
    """Who signs the certificates of clients."""
    return Authority(tmp_path, "staff-ca")


@pytest.fixture
def strict_server(company: Authority, staff: Authority) -> Iterator[TokenServer]:
    with token_server(company.issue("login"), client_authority=staff.path) as running:
        yield running


@libraries
def test_a_client_certificate_is_shown_where_the_server_wants_one(
    library: ModuleType, strict_server: TokenServer, company: Authority, staff: Authority
) -> None:
    with client_with(library, ca=company.path, certificate=staff.issue("uploader")) as client:
        assert source_at(strict_server, http_client=client).get_token().access_token == "over-tls"
    assert len(strict_server.received) == 1


@libraries
def test_a_client_certificate_is_shown_through_a_proxy_too(
    library: ModuleType, strict_server: TokenServer, company: Authority, staff: Authority, proxy: ConnectProxy
) -> None:
    mine = staff.issue("uploader")
    with client_with(library, ca=company.path, certificate=mine, proxy=proxy.url(USERINFO)) as client:
        assert source_at(strict_server, http_client=client).get_token().access_token == "over-tls"
    assert len(proxy.tunnels) == len(strict_server.received) == 1


@libraries
@pytest.mark.parametrize("has_one", [False, True], ids=["no certificate", "one of another CA"])
def test_without_the_right_client_certificate_there_is_no_token(
    library: ModuleType, has_one: bool, strict_server: TokenServer, company: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other-ca").issue("stranger") if has_one else None
    with client_with(library, ca=company.path, certificate=other) as client, pytest.raises(TransportError) as caught:
        source_at(strict_server, http_client=client, token_timeout=3).get_token()
    assert caught.value.transient
    assert strict_server.received == []
    assert not caught.value.sent or "alert" not in str(caught.value)  # else only a reset has come


def test_one_session_may_carry_the_auth_object_and_lend_its_settings(
    strict_server: TokenServer, company: Authority, staff: Authority, proxy: ConnectProxy, oauth_server: OAuthServer
) -> None:
    mine = staff.issue("uploader")
    with client_with(requests, ca=company.path, certificate=mine, proxy=proxy.url(USERINFO)) as session:
        source = source_at(strict_server, http_client=session)
        session.auth = OAuth2Auth(source, origins=[oauth_server.api_url])
        session.get(f"{oauth_server.api_url}/echo", timeout=30)
    assert oauth_server.requests_to("api")[0].header("Authorization") == "Bearer over-tls"
    assert len(strict_server.received) == len(proxy.tunnels)
