"""What stands between a program and its servers in a company: an own CA, a proxy, a server that wants a certificate."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .test_tls import Answers, TLSServer


class Authority:
    """A CA of its own: `path` is its certificate, `issue(...)` makes others.

    Args:
        folder: where the files go.
        name: what it is called, in the certificate and in the names of the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._signed(self._name, self._key.public_key(), is_ca=True))

    def issue(self, name: str) -> Path:
        """Make a certificate for 127.0.0.1; gives the path of a file with it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            self._signed(subject, key.public_key(), is_ca=False)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_ca: bool) -> bytes:
        today = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(is_ca=is_ca), critical=True)  # Python 3.13 wants all of these
        )
        if not is_ca:
            loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            certificate = certificate.add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        return certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        decipher_only=False,
        **dict.fromkeys(unused, False),
    )


class TokenServer(TLSServer):
    """A token endpoint behind TLS; `headers` are those of its requests."""

    def __init__(self, certificate: Path) -> None:
        super().__init__(certificate)
        self.headers: list[dict[str, str]] = []
        self.RequestHandlerClass = _Answers


class _Answers(Answers):
    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        return parsed


@contextmanager
def token_server(certificate: Path, *, client_authority: Path | None = None) -> Iterator[TokenServer]:
    """Start a token endpoint behind TLS, which wants a client certificate if an authority for these is given."""
    with TokenServer(certificate) as server:
        if client_authority is not None:
            server.context.verify_mode = ssl.CERT_REQUIRED
            server.context.load_verify_locations(client_authority)
        with _serving(server):
            yield server


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A CONNECT request that a proxy got."""

    target: str
    authorization: str | None


class ConnectProxy(socketserver.ThreadingTCPServer):
    """A forward proxy that knows CONNECT and nothing else.

    Args:
        user, password: what it wants to have by HTTP Basic; without, anybody may come.
    """

    daemon_threads = True

    def __init__(self, user: str = "", password: str = "") -> None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.wanted = f"Basic {pair}" if user else None
        self.tunnels: list[Tunnel] = []
        super().__init__(("127.0.0.1", 0), _Tunnels)

    def url(self, userinfo: str = "") -> str:
        """Give the URL for settings, with what goes before the @."""
        return f"http://{userinfo}{'@' if userinfo else ''}127.0.0.1:{self.server_address[1]}"


@contextmanager
def connect_proxy(user: str = "", password: str = "") -> Iterator[ConnectProxy]:
    """Start a proxy."""
    with ConnectProxy(user, password) as proxy, _serving(proxy):
        yield proxy


class _Tunnels(socketserver.StreamRequestHandler):
    server: ConnectProxy

    def handle(self) -> None:
        line = self.rfile.readline()
        if b" HTTP/1." not in line:
            return  # TLS, where the proxy speaks none
        method, target, _ = line.decode("ascii").split()
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        authorization = headers.get("proxy-authorization")
        self.server.tunnels.append(Tunnel(target, authorization))
        if method != "CONNECT":
            self._say(b"HTTP/1.1 405 Method Not Allowed")
        elif authorization != self.server.wanted:
            self._say(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="company"')
        else:
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as there, suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pump(self.connection, there)

    def _say(self, head: bytes) -> None:
        self.wfile.write(head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def _pump(here: socket.socket, there: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([here, there], [], [], 30)
        if not ready:
            return
        for one in ready:
            if not (data := one.recv(65536)):
                return
            (there if one is here else here).sendall(data)


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
