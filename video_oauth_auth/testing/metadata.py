"""What the authorization server says about itself: its metadata (OpenID Connect Discovery, RFC 8414) and keys."""

import time
from email.utils import formatdate

from .answers import Answer, HeaderPairs, json_answer
from .recording import RecordedRequest
from .settings import KEY_JWT, RESPONSE_MODES, SECRET_JWT
from .signing import ALGORITHM
from .site import Site


def metadata(site: Site) -> dict[str, object]:
    """The members of the metadata: those of RFC 8414, and what OpenID Connect wants besides."""
    settings = site.settings
    methods = list(settings.token_endpoint_auth_methods)
    members: dict[str, object] = {
        "issuer": site.issuer,
        **{name: site.endpoint(name) for name in site.dialect.endpoints},
        "grant_types_supported": list(settings.grant_types),
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": methods,
    }
    if "jwks_uri" in members:
        members["id_token_signing_alg_values_supported"] = [ALGORITHM]
    if "authorization_endpoint" in members and "authorization_code" in settings.grant_types:
        members["response_types_supported"] = ["code"]
        members["response_modes_supported"] = list(RESPONSE_MODES)
        members["code_challenge_methods_supported"] = list(settings.code_challenge_methods)
        told = settings.authorization_response_iss_parameter_supported
        members["authorization_response_iss_parameter_supported"] = told
    if {KEY_JWT, SECRET_JWT} & set(methods):
        algorithms = list(settings.token_endpoint_auth_signing_algs)
        members["token_endpoint_auth_signing_alg_values_supported"] = algorithms
    if "revocation_endpoint" in members:
        members["revocation_endpoint_auth_methods_supported"] = methods
    return {**members, **site.dialect.metadata}


def public_document(site: Site, request: RecordedRequest) -> Answer:
    """The metadata and the keys at their paths, 404 elsewhere."""
    if request.path in site.discovery_paths():
        return document(site, request, metadata(site))
    if request.path == site.dialect.endpoints.get("jwks_uri"):
        return document(site, request, site.key.jwks())
    return json_answer(404, {"error": "not_found"})


def document(
    site: Site, request: RecordedRequest, members: dict[str, object], media_type: str = "application/json"
) -> Answer:
    """A public JSON document, with how long it may be kept if that is set."""
    if request.method not in ("GET", "HEAD"):
        return Answer(405, headers=(("Allow", "GET, HEAD"),))
    answer = json_answer(200, members, _kept_for(site.settings.metadata_max_age))
    headers = (("Content-Type", media_type), *answer.header_pairs[1:])
    return Answer(200, headers=headers, body=answer.body)


def _kept_for(seconds: int | None) -> HeaderPairs:
    if seconds is None:
        return ()
    expires = formatdate(time.time() + seconds, usegmt=True)
    return (("Cache-Control", f"max-age={seconds}"), ("Expires", expires))
