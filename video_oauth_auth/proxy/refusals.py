"""What the proxy itself answers where it forwards nothing."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

__all__ = ["Refusal", "busy", "too_large"]


class Refusal(Exception):
    """A request is not forwarded, or got no answer.

    Args:
        status: the HTTP status.
        error: a code for programs.
        message: a sentence for people.
        headers: further headers.
    """

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.headers = headers or {}

    @property
    def response(self) -> JSONResponse:
        """What the caller gets."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return JSONResponse({"error": self.error, "message": str(self)}, self.status, headers)


def too_large(limit: int) -> Refusal:
    """Refuse a body of more bytes than allowed."""
    return Refusal(413, "body_too_large", f"This proxy forwards bodies of {limit} bytes and less.")


def busy() -> Refusal:
    """Refuse a request above the limit."""
    return Refusal(503, "busy", "This proxy has too many requests to forward.", {"Retry-After": "1"})
