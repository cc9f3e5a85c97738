"""A storage on an origin of its own that takes uploads to presigned URLs, as Amazon S3 does."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlencode

from .answers import Answer
from .recording import RecordedRequest

XML = (("Content-Type", "application/xml"),)
SIGNATURE_LIFETIME = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An object that was stored: its size in bytes, and the SHA-256 of its content in hex digits."""

    key: str
    size: int
    sha256: str


class Storage:
    """Signs URLs, and stores (the digest of) what is put there.

    An `Authorization` header is refused with 400: the signature in the query is the one way to authenticate.
    """

    def __init__(self) -> None:
        self.url = ""  # known once the port is open
        self.uploads: dict[str, Upload] = {}
        self._secret = secrets.token_bytes(32)

    def presigned_url(self, key: str) -> str:
        """A URL to which this object may be put for a day, whoever does it."""
        path, expires = f"/{quote(key)}", f"{int(time.time()) + SIGNATURE_LIFETIME}"
        query = {"AWSAccessKeyId": "test", "Expires": expires, "Signature": self._signature(path, expires)}
        return f"{self.object_url(key)}?{urlencode(query)}"

    def object_url(self, key: str) -> str:
        """The URL of the object without a signature."""
        return f"{self.url}/{quote(key)}"

    def answer(self, request: RecordedRequest) -> Answer:
        """200 for a signed PUT; 400, 403 or 405 as S3 does."""
        if request.header("Authorization") is not None:
            return _refused(400, "InvalidArgument", "Only one auth mechanism allowed")
        if request.method != "PUT":
            return _refused(405, "MethodNotAllowed", "Only PUT is served here")
        if not self._is_signed(request):
            return _refused(403, "AccessDenied", "The signature is missing, wrong or expired")
        upload = Upload(key=unquote(request.path).removeprefix("/"), size=request.size, sha256=request.sha256)
        self.uploads[upload.key] = upload
        return Answer(200, headers=(("ETag", f'"{request.sha256[:32]}"'),))

    def _is_signed(self, request: RecordedRequest) -> bool:
        query = parse_qs(request.query)
        expires, signature = query.get("Expires", [""])[0], query.get("Signature", [""])[0]
        right = hmac.compare_digest(signature.encode(), self._signature(request.path, expires).encode())
        return right and int(expires) > time.time()

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"PUT\n{expires}\n{path}".encode(), hashlib.sha256).hexdigest()


def _refused(status: int, code: str, message: str) -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, headers=XML, body=body)
