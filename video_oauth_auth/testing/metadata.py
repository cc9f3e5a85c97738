"""What the authorization server says about itself (RFC 8414; also under the path of OpenID Connect)."""

from collections.abc import Mapping

from .answers import Answer, json_answer
from .recording import RecordedRequest

PATHS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def metadata_answer(request: RecordedRequest, members: Mapping[str, object]) -> Answer:
    """The metadata on its well-known paths, 404 elsewhere and where there is none."""
    if not members or request.path not in PATHS:
        return json_answer(404, {"error": "not_found"})
    if request.method not in ("GET", "HEAD"):
        return Answer(405, headers=(("Allow", "GET, HEAD"),))
    return json_answer(200, dict(members))
