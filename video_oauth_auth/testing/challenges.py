"""What a 401 looks like: the forms that real APIs use, each an `Answer` (so each may be a fault, too)."""

from typing import Literal

from .answers import Answer, html_page, json_answer

ChallengeName = Literal[
    "none",
    "bearer",
    "insufficient_scope",
    "insufficient_scope_403",
    "html",
    "brightcove",
    "basic",
    "ibm_invalid_token",
    "ibm_unauthorized",
]


def _challenged(status: int, challenge: str) -> Answer:
    return Answer(status, headers=(("WWW-Authenticate", challenge),))


# Sources: RFC 6750 section 3 (bearer, insufficient_scope), RFC 7617 (basic); html and brightcove as users of
# movingimage and Brightcove have met them, and the two of IBM Video Streaming: none sends WWW-Authenticate.
SCOPE_CHALLENGE = 'Bearer realm="api", error="insufficient_scope", scope="more"'
CHALLENGES: dict[ChallengeName, Answer] = {
    "none": Answer(401),
    "bearer": _challenged(401, 'Bearer realm="api", error="invalid_token"'),
    "insufficient_scope": _challenged(401, SCOPE_CHALLENGE),
    "insufficient_scope_403": _challenged(403, SCOPE_CHALLENGE),
    "html": html_page("Error", 401),
    "brightcove": json_answer(401, [{"error_code": "UNAUTHORIZED", "message": "Permission denied."}]),
    "ibm_invalid_token": json_answer(401, {"error": "invalid_token"}),
    "ibm_unauthorized": json_answer(401, {"error": "unauthorized"}),
    "basic": _challenged(401, 'Basic realm="api"'),
}


def as_answer(challenge: ChallengeName | Answer) -> Answer:
    """The answer of this name, or the given one."""
    return challenge if isinstance(challenge, Answer) else CHALLENGES[challenge]
