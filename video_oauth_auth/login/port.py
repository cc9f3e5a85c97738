"""Opening a port of this machine that nobody else can reach or take part in."""

from __future__ import annotations

import errno
import socket

from ..errors import ConfigurationError, cleaned

__all__ = ["opened"]

_TRIES = 8  # a port that is free on one address of localhost may be in use on the other
_BACKLOG = 128
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def opened(host: str, port: int) -> list[socket.socket]:
    """Open a port on each address that a browser may take for the host.

    Args:
        host: `127.0.0.1`, `[::1]` or `localhost`.
        port: which one; 0 means a free one.

    Returns:
        The listening sockets, which do not block, all on the same port.

    Raises:
        ConfigurationError: it is in use, or not this program's to open, or the machine has no such address.
    """
    tries = _TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            return _on_both(port) if host == "localhost" else [_listening(host.strip("[]"), port)]
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not tries:
                raise ConfigurationError(f"redirect_uri: {_explained(error, host, port)}") from None


def _on_both(port: int) -> list[socket.socket]:
    """Open the port on 127.0.0.1 and, where the machine has it, on ::1; nobody else may have it there."""
    listener = _listening("127.0.0.1", port)
    try:
        return [listener, _listening("::1", listener.getsockname()[1])]
    except OSError as error:
        if error.errno in _NO_SUCH_ADDRESS:
            return [listener]
        listener.close()
        raise


def _listening(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        # SO_REUSEADDR lets a port be used again right after a sign-in; on Windows it would share it with a stranger.
        exclusive: int | None = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener


def _explained(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE and port == 0:
        return f"no port of {host} is free at the moment"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use, perhaps by another sign-in. End the program that uses it or take "
            "another port; port 0 means a free one, where the authorization server allows any"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"port {port} of {host} may not be opened: those below 1024 are kept for the administrator. Take a higher "
            "one; port 0 means a free one, where the authorization server allows any"
        )
    if error.errno in _NO_SUCH_ADDRESS:
        return f"this machine has no address {host}. Take 127.0.0.1 instead"
    return f"port {port} of {host} cannot be opened: {cleaned(str(error.strerror))}"
