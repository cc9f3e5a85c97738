"""AuthorizationServer reads a metadata document: known members typed, everything else kept as it is."""

from __future__ import annotations

import pytest

from video_oauth_auth import AuthorizationServer, InvalidResponseError

ISSUER = "https://login.example.com"
TEXTS = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
)
LISTS = (
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "id_token_signing_alg_values_supported",
)
TRUTH = "authorization_response_iss_parameter_supported"


def test_known_members_become_attributes_and_the_others_stay_in_extra():
    texts = {name: f"{ISSUER}/{name}" for name in TEXTS}
    lists = {name: ["one", "two"] for name in LISTS}
    server = AuthorizationServer.from_metadata({**texts, **lists, TRUTH: True, "tenant": {"id": 7}})
    assert {name: getattr(server, name) for name in TEXTS} == texts
    assert {name: getattr(server, name) for name in LISTS} == dict.fromkeys(LISTS, ("one", "two"))
    assert server.authorization_response_iss_parameter_supported is True
    assert server.extra == {"tenant": {"id": 7}}


@pytest.mark.parametrize("absent", [{}, dict.fromkeys((*TEXTS[1:], *LISTS, TRUTH))])
def test_what_a_server_does_not_say_is_none_and_it_promises_no_iss(absent):
    server = AuthorizationServer.from_metadata({**absent, "issuer": ISSUER})
    assert {getattr(server, name) for name in (*TEXTS[1:], *LISTS)} == {None}
    assert server.authorization_response_iss_parameter_supported is False
    assert server.extra == {}


WRONG = [
    *((name, value) for name in TEXTS for value in (7, True, ["x"], {})),
    *((name, value) for name in LISTS for value in (7, "x", ["x", 7], {})),
    *((TRUTH, value) for value in (0, 1, "true", "", [], {})),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_known_member_of_the_wrong_json_type_is_refused_by_name(name, value):
    with pytest.raises(InvalidResponseError, match=f"metadata member {name} is"):
        AuthorizationServer.from_metadata({"issuer": ISSUER, name: value})
