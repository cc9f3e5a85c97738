"""Token endpoints behind TLS: a certificate that does not verify, and how a private one is accepted."""

import datetime
import ipaddress
import json
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler

import httpx
import httpx2
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from video_oauth_auth import (
    AuthorizationServer,
    ClientCredentials,
    OAuth2Auth,
    OAuthClient,
    TokenSource,
    TransportError,
)


def self_signed(folder):
    """Make a certificate for 127.0.0.1 that only it itself vouches for; give the path of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"access_token": "over-tls", "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""


class TLSServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, certificate):
        self.received = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), Answers)

    def finish_request(self, request, client_address):
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except OSError:
            return  # the client did not like the certificate

    @property
    def token_endpoint(self):
        return f"https://127.0.0.1:{self.server_address[1]}/token"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch):
    """In requests, REQUESTS_CA_BUNDLE of the environment wins over the session's own verify."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


@pytest.fixture
def tls_server(certificate):
    with TLSServer(certificate) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def source_at(server, **settings):
    return TokenSource(
        AuthorizationServer(token_endpoint=server.token_endpoint),
        OAuthClient("id", "secret"),
        ClientCredentials(),
        token_timeout=20,
        **settings,
    )


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)
def test_a_certificate_that_does_not_verify_is_told_at_once_and_nothing_is_sent(client, tls_server, oauth_server):
    auth = OAuth2Auth(source_at(tls_server), origins=[oauth_server.api_url])
    with pytest.raises(TransportError, match="http_client=") as caught:
        client.send(auth, "GET", f"{oauth_server.api_url}/me")
    assert not caught.value.sent
    assert "certificate" in str(caught.value).lower()
    assert tls_server.received == []


def session_that_trusts(certificate, library):
    if library is requests:
        session = requests.Session()
        session.verify = str(certificate)
        return session
    return library.Client(verify=ssl.create_default_context(cafile=certificate))


@pytest.mark.parametrize("library", [requests, httpx, httpx2], ids=lambda module: module.__name__)
def test_http_client_lends_its_trust(library, tls_server, certificate):
    with session_that_trusts(certificate, library) as session:
        assert source_at(tls_server, http_client=session).get_token().access_token == "over-tls"
    assert len(tls_server.received) == 1


@pytest.mark.parametrize("client", ["requests", "httpx", "httpx2"], indirect=True)
def test_the_settings_of_the_environment_apply(client, tls_server, certificate, oauth_server, monkeypatch):
    from video_oauth_auth import exchange

    name = "REQUESTS_CA_BUNDLE" if client.library == "requests" else "SSL_CERT_FILE"
    monkeypatch.setenv(name, str(certificate))
    monkeypatch.setattr(exchange, "_contexts", {})  # as in a process that was started with this environment
    auth = OAuth2Auth(source_at(tls_server), origins=[oauth_server.api_url])
    client.send(auth, "GET", f"{oauth_server.api_url}/me")
    assert auth.source.peek().access_token == "over-tls"
