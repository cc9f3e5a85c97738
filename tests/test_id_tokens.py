"""An ID token is used only if its issuer signed it for this client, lately, for this sign-in; all else is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video_oauth_auth import InvalidResponseError, TransportError
from video_oauth_auth.endpoints import HTTPResponse
from video_oauth_auth.login.id_token import checked_userinfo

from .issuer import (
    ACCESS_TOKEN,
    ALGORITHMS,
    CLIENT,
    CURVES,
    LEFT_OUT,
    OTHER_RSA,
    RSA,
    SUBJECT,
    URL,
    FromNow,
    Issuer,
    good_claims,
    id_token,
    public,
    segment,
    server,
    signed,
)

NONCE = "an-invented-nonce"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """One that publishes its RSA key, and one for each curve."""
    with respx.mock(assert_all_called=False) as mock:
        yield Issuer(mock, public(RSA), *map(public, CURVES.values()))


def refused(issuer: Issuer, text: str, match: str, **keywords: Any) -> None:
    """Expect that a token is refused, in words that show nothing of it."""
    with pytest.raises(InvalidResponseError, match=match) as caught:
        issuer.claims(text, **keywords)
    for hidden in (SUBJECT, ACCESS_TOKEN, NONCE, *filter(None, text.split(".")[:3])):
        assert len(hidden) < 8 or hidden not in str(caught.value)


# --- what is taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_asymmetric_algorithm_is_verified(issuer, alg):
    claims = issuer.claims(id_token(alg=alg, email="x@example.com"))
    assert claims == good_claims(email="x@example.com", iat=claims["iat"], exp=claims["exp"])


def test_claims_are_read_only(issuer):
    with pytest.raises(TypeError):
        issuer.claims(id_token())["sub"] = "another"


@pytest.mark.parametrize(
    ("text", "members"),
    [(None, {}), (id_token(), {"jwks_uri": None}), (id_token(), {"issuer": None, "token_endpoint": f"{URL}/token"})],
)
def test_where_nothing_can_be_verified_there_are_no_claims(issuer, text, members):
    assert issuer.claims(text, server=server(**members)) is None
    assert issuer.fetches == 0


@pytest.mark.parametrize("kind", [LEFT_OUT, "JWT", "jwt", "application/jwt", "JOSE"])
def test_the_type_of_an_id_token_is_jwt_or_not_said(issuer, kind):
    assert issuer.claims(id_token(header={} if kind is LEFT_OUT else {"typ": kind}))


def test_unknown_header_parameters_are_ignored(issuer):
    assert issuer.claims(id_token(header={"tenant": "tv", "x5t": "abc", "x5c": ["A" * 4000]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT], "azp": CLIENT},
        {"aud": [CLIENT, CLIENT]},
        {"aud": ["account", CLIENT], "azp": CLIENT},  # Keycloak
        {"exp": FromNow(-60)},
        {"iat": FromNow(60)},
        {"nbf": FromNow(60)},
        {"nbf": FromNow(-1e6)},
        {"exp": FromNow(0.5)},
        {"sub": "x" * 255},
        {"nonce": "somebody's, and nobody asks"},
        {"amr": ["pwd"], "address": {"country": "DE"}},
    ],
)
def test_what_the_specification_allows_is_taken(issuer, changes):
    claims = issuer.claims(id_token(**changes))
    said = {name: value for name, value in changes.items() if not isinstance(value, FromNow)}
    assert claims.items() >= said.items()


# --- the signature and the header -----------------------------------------------------------------------------------

PUBLIC = public(RSA)
HMAC_KEYS = {
    "PEM": RSA.as_pem(private=False),
    "PEM without its last newline": RSA.as_pem(private=False).strip(),
    "DER": RSA.as_der(private=False),
    "JWK": json.dumps(PUBLIC).encode(),
    "JWK, compact and sorted": json.dumps(PUBLIC, separators=(",", ":"), sort_keys=True).encode(),
    "modulus": PUBLIC["n"].encode(),
    "empty": b"",
}


@pytest.mark.parametrize("listed", [None, ("HS256", "HS384", "HS512", "RS256"), ("HS256",)])
@pytest.mark.parametrize("name", HMAC_KEYS)
@pytest.mark.parametrize("bits", [256, 384, 512])
def test_a_public_key_is_no_shared_secret(issuer, name, bits, listed):
    """Nor is a server believed that lists HS256 in its metadata, as cidaas does."""
    what = f"{segment({'alg': f'HS{bits}'})}.{segment(good_claims())}"
    text = f"{what}.{segment(hmac.digest(HMAC_KEYS[name], what.encode(), f'sha{bits}'))}"
    refused(issuer, text, f"signed with 'HS{bits}'", server=server(id_token_signing_alg_values_supported=listed))


def test_a_symmetric_key_in_the_set_verifies_nothing(issuer):
    issuer.keys = [{"kty": "oct", "k": segment(b"known-to-everybody"), "alg": alg} for alg in ("HS256", "RS256")]
    what = f"{segment({'alg': 'RS256'})}.{segment(good_claims())}"
    text = f"{what}.{segment(hmac.digest(b'known-to-everybody', what.encode(), 'sha256'))}"
    refused(issuer, text, "not verified")


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"], {}, "RS1", "ES256K", "dir", "rs256"]
)
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_no_other_algorithm_is_taken(issuer, alg, signature):
    refused(issuer, f"{segment({'alg': alg})}.{segment(good_claims())}.{signature}", "ID token is signed with")


def test_a_header_without_an_algorithm_is_refused(issuer):
    refused(issuer, signed(good_claims(), {"typ": "JWT"}, RSA, "RS256"), "signed with NoneType")


def test_only_algorithms_that_the_metadata_list_are_taken(issuer):
    listing = server(id_token_signing_alg_values_supported=("RS256", "HS256"))
    assert issuer.claims(id_token(), server=listing)
    refused(
        issuer, id_token(alg="ES256"), "'ES256'; allowed by this library and the metadata's.*: RS256$", server=listing
    )


ATTACKER = public(OTHER_RSA)
SELF_MADE = {
    "jwk": {"jwk": ATTACKER},
    "jku": {"jku": "https://evil.example/keys"},
    "x5u": {"x5u": "https://evil.example/chain"},
    "x5c": {"x5c": ["QUFBQQ=="]},
    "own kid": {"kid": "evil"},
    "jwk and kid": {"jwk": {**ATTACKER, "kid": "evil"}, "kid": "evil"},
    "nothing": {},
}


@pytest.mark.parametrize("name", SELF_MADE)
def test_a_token_brings_no_key_of_its_own(issuer, name):
    refused(issuer, id_token(key=OTHER_RSA, header=SELF_MADE[name]), "not verified")
    assert issuer.fetches == 2  # of the issuer's own set; the mock lets nothing else through


def test_the_kid_of_the_issuers_key_does_not_help_another_key(issuer):
    issuer.keys = [public(RSA, kid="one")]
    assert issuer.claims(id_token(header={"kid": "one"}))
    refused(issuer, id_token(key=OTHER_RSA, header={"kid": "one"}), "not verified.*'one'")


def test_a_changed_token_is_not_verified(issuer):
    head, _, signature = id_token().split(".")
    refused(issuer, f"{head}.{segment(good_claims(sub='an-administrator'))}.{signature}", "not verified")
    refused(issuer, id_token()[:-8], "not verified")
    refused(issuer, f"{segment({'alg': 'RS512'})}.{id_token().partition('.')[2]}", "not verified")


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"b64": True},
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"crit": None},
    ],
)
def test_extensions_of_jws_are_refused(issuer, header):
    refused(issuer, id_token(header=header), "extension that is not supported")


@pytest.mark.parametrize(
    "kind",
    [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "logout+jwt",
        "dpop+jwt",
        "application/DPoP+jwt",
        "secevent+jwt",
        7,
        None,
    ],
)
def test_another_kind_of_token_is_refused(issuer, kind):
    refused(issuer, id_token(header={"typ": kind}), "another kind of token")


@pytest.mark.parametrize("kid", [7, None, ["one"], {}])
def test_a_kid_is_a_text(issuer, kid):
    refused(issuer, id_token(header={"kid": kid}), "kid that is no text")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"RS256"',
        b'{"alg":"none","alg":"RS256"}',
        b'{"alg":"RS256","alg":"RS256"}',
        b'{"alg":"RS256","x":NaN}',
        b'{"alg":"RS256","x":"\\ud800"}',
        b'{"alg":"RS256","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"alg":"RS256","x":' + b"[" * 200 + b"]" * 200 + b"}",
        '{"alg":"RS256"}'.encode("utf-16"),
        b'{"alg":"RS256","x":"\xff"}',
    ],
)
def test_a_header_that_is_no_clear_json_object_is_refused(issuer, header):
    refused(issuer, signed(good_claims(), header, RSA, "RS256"), "header is no JSON object")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x" * (10 * 1024 * 1024), "more than 65536"),
        ("." * 1_000_000, "more than 65536"),
        ("." * 1_000, "1000 dots"),
        ("", "0 dots"),
        ("an-opaque-token", "0 dots"),
        ("a.b", "1 dots"),
        ("a.b.c.d.e", "encrypted"),
        ("..", "header is no JSON object"),
        ("é.é.é", "header is no JSON object"),
        ("\ud800.x.x", "header is no JSON object"),
        ("a a.b.c", "header is no JSON object"),
    ],
)
def test_what_has_not_the_form_of_a_signed_token_is_refused_unread(issuer, text, match):
    refused(issuer, text, match)
    assert issuer.fetches == 0


@pytest.mark.parametrize("spoilt", [lambda part: part + "=", lambda part: part + "\n", lambda part: "é" + part])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_part_that_is_no_base64url_is_refused(issuer, number, spoilt):
    parts = id_token().split(".")
    parts[number] = spoilt(parts[number])
    refused(issuer, ".".join(parts), r"not verified|header is no JSON object")


@given(st.one_of(st.text(max_size=60), st.lists(st.text(max_size=30), min_size=3, max_size=3).map(".".join)))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_as_an_id_token_fails_in_one_way(issuer, text):
    with pytest.raises(InvalidResponseError):
        issuer.claims(text)


@given(st.binary(max_size=40) | st.recursive(st.none() | st.floats() | st.text(max_size=5), st.lists).map(json.dumps))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_issuer_signs_fails_in_one_way(issuer, payload):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    with pytest.raises(InvalidResponseError, match=r"claims are no JSON object|issued by NoneType"):
        issuer.claims(signed(payload, {"alg": "Ed25519"}, CURVES["Ed25519"], "Ed25519"))


# --- the claims -----------------------------------------------------------------------------------------------------

HUGE = 10**400
NO_MOMENTS = [LEFT_OUT, None, "1700000000", True, [], {}, HUGE]
BAD_CLAIMS: list[tuple[str, list[dict[str, Any]]]] = [
    (
        "issued by",
        [
            {"iss": value}
            for value in (URL + "/", URL.upper(), URL[:-1], "https://evil.example", "", None, 7, [URL], LEFT_OUT)
        ],
    ),
    ("aud is neither", [{"aud": value} for value in (LEFT_OUT, None, 7, {}, {CLIENT: 1}, [CLIENT, 7], [[CLIENT]])]),
    (
        "not for the client",
        [
            {"aud": value}
            for value in ("", CLIENT + "-2", CLIENT[:-1], CLIENT.upper(), [], ["account"], [f"{CLIENT} x"])
        ],
    ),
    ("no azp says", [{"aud": [CLIENT, "account"]}, {"aud": ["x", CLIENT, CLIENT]}]),
    ("another client", [{"azp": value} for value in ("another", "", None, 7, [CLIENT])]),
    ("another client", [{"aud": [CLIENT, "another"], "azp": "another"}, {"aud": [CLIENT, "x"], "azp": None}]),
    ("exp is missing or no number", [{"exp": value} for value in NO_MOMENTS]),
    ("iat is missing or no number", [{"iat": value} for value in NO_MOMENTS]),
    ("nbf is missing or no number", [{"nbf": value} for value in NO_MOMENTS[1:]]),
    (r"ended \d{3} s ago. Is the clock", [{"exp": FromNow(-200)}]),
    (r"ended \d+ s ago", [{"exp": 0}, {"exp": -1e300}]),
    (r"issued \d{3,} s in the future. Is the clock", [{"iat": FromNow(400)}, {"iat": 1e300}]),
    (r"not valid before \d{3} s from now", [{"nbf": FromNow(400)}]),
    ("no sub", [{"sub": value} for value in (LEFT_OUT, None, "", 7, True, [SUBJECT], {}, "x" * 256)]),
]


@pytest.mark.parametrize(("match", "changes"), [(match, one) for match, many in BAD_CLAIMS for one in many])
def test_a_claim_that_is_not_as_it_has_to_be_is_told(issuer, match, changes):
    refused(issuer, id_token(**changes), match)


def raw(text: str) -> bytes:
    """Claims written by hand: a good set, and this text among its members."""
    return (json.dumps(good_claims())[:-1] + text + "}").encode()


@pytest.mark.parametrize(
    "payload",
    [
        raw(f', "iss": "{URL}"'),
        raw(', "sub": "an-administrator"'),
        raw(', "address": {"country": "DE", "country": "FR"}'),
        raw(', "x": NaN'),
        raw(', "x": -Infinity'),
        raw(', "x": 1e999'),
        raw(', "exp": 1e999'),
        raw(f', "x": {"9" * 5000}'),
        raw(', "x": "\\ud800"'),
        raw(', "x": ' + "[" * 101 + "]" * 101),
        raw(', "x": ' + "[" * 20_000 + "]" * 20_000),
        raw(', "x": ' + '{"a":' * 5_000 + "1" + "}" * 5_000),
        raw("").decode().encode("utf-16"),
        raw("")[:-1],
        raw("") + b"{}",
        b"[]",
        b"null",
        b"",
        b'"x"',
    ],
)
def test_claims_that_are_no_clear_json_object_are_refused(issuer, payload):
    refused(issuer, signed(payload, {"alg": "RS256"}, RSA, "RS256"), "claims are no JSON object")


def test_an_oversized_id_token_is_refused_though_its_signature_is_right(issuer):
    assert issuer.claims(id_token(x="y" * 40_000))
    refused(issuer, id_token(x="y" * 50_000), "more than 65536")


# --- nonce and at_hash ----------------------------------------------------------------------------------------------


def test_a_nonce_that_was_sent_has_to_come_back(issuer):
    assert issuer.claims(id_token(nonce=NONCE), nonce=NONCE)["nonce"] == NONCE


@pytest.mark.parametrize("sent_back", ["", NONCE[:-1], NONCE + "x", NONCE.upper(), "né", None, 7, [NONCE]])
def test_another_nonce_is_refused(issuer, sent_back):
    refused(issuer, id_token(nonce=sent_back), "nonce is not that", nonce=NONCE)


def test_a_missing_nonce_is_refused(issuer):
    refused(issuer, id_token(), "has no nonce", nonce=NONCE)


def at_hash(alg: str, access_token: str = ACCESS_TOKEN) -> str:
    digest = hashlib.new("sha512" if alg.startswith("Ed") else f"sha{alg[2:]}", access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_at_hash_is_made_with_the_hash_of_the_algorithm(issuer, alg):
    assert issuer.claims(id_token(alg=alg, at_hash=at_hash(alg)))
    refused(issuer, id_token(alg=alg, at_hash=at_hash(alg, "another-access-token")), "another access token")
    other = "RS384" if alg.endswith("256") else "RS256"
    refused(issuer, id_token(alg=alg, at_hash=at_hash(other)), "another access token")


def test_at_hash_is_right_for_the_example_of_the_specification(issuer):
    """OpenID Connect Core 1.0, appendix A.3: the one value there that is not computed by this test."""
    token, hashed = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
    assert at_hash("RS256", token) == hashed


@pytest.mark.parametrize("value", ["", None, 7, [], "é", at_hash("RS256") + "=", at_hash("RS256")[:-1]])
def test_a_broken_at_hash_is_refused(issuer, value):
    refused(issuer, id_token(at_hash=value), "another access token")


# --- refreshed ID tokens --------------------------------------------------------------------------------------------

MOMENT = int(time.time())
FIRST = {"iss": URL, "sub": SUBJECT, "aud": CLIENT, "iat": MOMENT - 3000, "auth_time": MOMENT - 3010, "nonce": NONCE}


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        (FIRST, {}),
        (FIRST, {"auth_time": FIRST["auth_time"], "nonce": NONCE, "azp": CLIENT}),
        (FIRST | {"iat": MOMENT + 100}, {}),
        (FIRST | {"azp": CLIENT}, {}),
        ({"iss": URL, "sub": SUBJECT}, {"nonce": "another", "auth_time": 5}),
    ],
)
def test_a_refreshed_id_token_is_about_the_first_sign_in(issuer, first, changes):
    assert issuer.claims(id_token(**changes), first=first)


@pytest.mark.parametrize(
    ("match", "first", "changes"),
    [
        ("its sub", FIRST, {"sub": "somebody-else"}),
        ("its sub", {"iss": URL}, {}),
        ("its iss", FIRST | {"iss": URL + "/old"}, {}),
        ("its azp", FIRST | {"azp": "another"}, {"azp": CLIENT}),
        ("its auth_time", FIRST, {"auth_time": MOMENT}),
        ("its auth_time", FIRST, {"auth_time": None}),
        ("its nonce", FIRST, {"nonce": "another"}),
        (r"older than the first one, by \d+ s", FIRST | {"iat": MOMENT}, {"iat": MOMENT - 500}),
        ("not for the client", FIRST, {"aud": "another"}),
    ],
)
def test_a_refreshed_id_token_of_another_sign_in_is_refused(issuer, match, first, changes):
    refused(issuer, id_token(**changes), match, first=first)


# --- UserInfo -------------------------------------------------------------------------------------------------------

USERINFO = f"{URL}/userinfo"


def answer(members: Any, *, status: int = 200, kind: str = "application/json") -> HTTPResponse:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return HTTPResponse(status=status, headers={"content-type": kind} if kind else {}, body=body)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
)
@pytest.mark.parametrize("claims", [None, {"sub": SUBJECT}])
def test_userinfo_is_read(kind, claims):
    members = checked_userinfo(answer({"sub": SUBJECT, "name": "x"}, kind=kind), USERINFO, claims)
    assert members == {"sub": SUBJECT, "name": "x"}
    with pytest.raises(TypeError):
        members["sub"] = "another"


@pytest.mark.parametrize(
    ("response", "match"),
    [
        (answer({"sub": SUBJECT + "invalid"}), "somebody else"),
        (answer({"sub": SUBJECT.upper()}), "somebody else"),
        (answer({"name": "x"}), "no sub"),
        *((answer({"sub": value}), "no sub") for value in (None, "", 7, [SUBJECT], "x" * 256)),
        *((answer(body), "no JSON object") for body in (b"", b"[]", b"null", b"<html>", b'{"sub":"a","sub":"b"}')),
        (answer({"sub": SUBJECT}, kind="application/jwt"), "signed UserInfo.*not supported"),
        (answer({"sub": SUBJECT}, kind="text/html"), "text/html, not application/json"),
        (answer({"sub": SUBJECT}, kind=""), "no content type"),
        (answer({"sub": SUBJECT}, status=302), "answered 302"),
        (answer({"error": "invalid_token"}, status=401), "answered 401"),
    ],
)
def test_userinfo_that_is_not_about_the_same_person_is_refused(response, match):
    with pytest.raises(InvalidResponseError, match=match) as caught:
        checked_userinfo(response, USERINFO, {"sub": SUBJECT})
    assert SUBJECT not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_userinfo_of_a_server_that_is_down_can_be_asked_for_later(status):
    with pytest.raises(TransportError) as caught:
        checked_userinfo(answer(b"", status=status), USERINFO, None)
    assert caught.value.status == status
