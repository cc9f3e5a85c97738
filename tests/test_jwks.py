"""The keys of an issuer are fetched when needed, kept, followed when they change, and never spammed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import respx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jwk
from joserfc.util import int_to_base64

from video_oauth_auth import InvalidResponseError, Token, TransportError, documents
from video_oauth_auth.budget import Budget
from video_oauth_auth.login import keys
from video_oauth_auth.login.id_token import IDTokens
from video_oauth_auth.testing import Drip, Hold, OAuthServer, json_answer, unavailable
from video_oauth_auth.transport import Via

from .issuer import (
    ACCESS_TOKEN,
    CLIENT,
    CURVES,
    JWKS_URI,
    OTHER_RSA,
    RSA,
    SUBJECT,
    URL,
    Issuer,
    good_claims,
    id_token,
    public,
    segment,
    server,
    signed,
)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """One whose only key has the kid `one`."""
    with respx.mock(assert_all_called=False) as mock:
        yield Issuer(mock, public(RSA, kid="one"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock that documents and pauses age by."""
    real, moved = documents.now, [0.0]
    for module in (documents, keys):
        monkeypatch.setattr(module, "now", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


def by(kid: str | None, key: Any = RSA, *, alg: str = "RS256") -> str:
    """A good ID token by this key, which names this kid."""
    return id_token(alg=alg, key=key, header={} if kid is None else {"kid": kid})


def not_verified(issuer: Issuer, text: str) -> None:
    with pytest.raises(InvalidResponseError, match="not verified"):
        issuer.claims(text)


# --- kept -----------------------------------------------------------------------------------------------------------


def test_keys_are_fetched_with_the_first_token_and_kept(issuer):
    assert issuer.fetches == 0
    for _ in range(20):
        assert issuer.claims(by("one"))
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({}, 3600),
        ({"Cache-Control": "public, max-age=120"}, 120),
        ({"Cache-Control": "max-age=0"}, 60),
        ({"Cache-Control": "max-age=999999999"}, 86400),
        ({"Expires": formatdate(0, usegmt=True)}, 60),
    ],
)
def test_keys_are_kept_as_long_as_the_server_says_within_bounds(issuer, later, headers, kept):
    issuer.headers = headers
    for seconds, fetches in ((0, 1), (kept - 5, 1), (10, 2)):
        later(seconds)
        assert issuer.claims(by("one"))
        assert issuer.fetches == fetches


def test_old_keys_serve_while_the_server_is_down_but_not_for_ever(issuer, later):
    assert issuer.claims(by("one"))
    issuer.answer = httpx.Response(503)
    later(3601)
    for _ in range(10):
        assert issuer.claims(by("one"))
    assert issuer.fetches == 2  # tried once, and again only after a minute
    later(61)
    assert issuer.claims(by("one"))
    assert issuer.fetches == 3
    later(2 * 86400)
    with pytest.raises(TransportError):
        issuer.claims(by("one"))


def test_a_broken_set_does_not_displace_good_keys(issuer, later):
    assert issuer.claims(by("one"))
    issuer.answer = httpx.Response(200, html="<html>maintenance</html>")
    later(3601)
    assert issuer.claims(by("one"))


def test_keys_that_cannot_be_fetched_can_be_had_later(issuer):
    issuer.answer = httpx.Response(503)
    with pytest.raises(TransportError, match="503") as caught:
        issuer.claims(by("one"))
    assert (caught.value.status, caught.value.sent) == (503, False)
    issuer.answer = None
    assert issuer.claims(by("one"))


def test_keys_of_one_issuer_are_not_those_of_another(issuer):
    assert issuer.claims(by("one"))
    another = server(issuer="https://login.example.com/realms/other")
    issuer.keys = [public(OTHER_RSA, kid="one")]
    text = id_token(iss=another.issuer, header={"kid": "one"})
    with pytest.raises(InvalidResponseError, match="not verified"):
        issuer.claims(text, server=another)


# --- rotation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_a_new_key_is_found_at_once_and_the_old_one_is_dropped(issuer, named):
    issuer.keys = [public(RSA, kid="one")]
    assert issuer.claims(by("one" if named else None))
    issuer.keys = [public(OTHER_RSA, kid="two")]
    assert issuer.claims(by("two" if named else None, OTHER_RSA))
    assert issuer.fetches == 2
    not_verified(issuer, by("one" if named else None))


def test_a_key_that_changed_under_its_old_name_is_found(issuer):
    """As in a test server that was set up again: its only key is always called the same."""
    assert issuer.claims(by("one"))
    issuer.keys = [public(OTHER_RSA, kid="one")]
    assert issuer.claims(by("one", OTHER_RSA))


def test_a_hundred_unknown_kids_make_hardly_more_fetches(issuer, later):
    assert issuer.claims(by("one"))
    for number in range(100):
        not_verified(issuer, by(f"unknown-{number}", OTHER_RSA))
    assert issuer.fetches == 2
    later(61)
    not_verified(issuer, by("unknown", OTHER_RSA))
    assert issuer.fetches == 3
    assert issuer.claims(by("one"))


def test_where_newer_keys_cannot_be_fetched_the_token_is_not_called_bad(issuer, later):
    """They may hold its key; but the server that is down is not asked again and again."""
    assert issuer.claims(by("one"))
    issuer.answer = httpx.Response(503)
    issuer.keys = [public(RSA, kid="one"), public(OTHER_RSA, kid="two")]
    for _ in range(20):
        with pytest.raises(TransportError, match="503"):
            issuer.claims(by("two", OTHER_RSA))
    assert issuer.fetches == 2
    assert issuer.claims(by("one"))
    issuer.answer = None
    later(61)
    assert issuer.claims(by("two", OTHER_RSA))


# --- which key ------------------------------------------------------------------------------------------------------

SPARE = [public(jwk.ECKey.generate_key("P-256")) for _ in range(keys.TRIED_AT_MOST)]


def test_without_a_kid_each_of_a_few_keys_that_fit_is_tried(issuer):
    fitting = public(CURVES["ES256"])
    issuer.keys = [*SPARE[1:], public(RSA), fitting]
    assert issuer.claims(by(None, CURVES["ES256"], alg="ES256"))
    issuer.keys = [*SPARE, fitting]
    issuer.id_tokens = IDTokens()
    not_verified(issuer, by(None, CURVES["ES256"], alg="ES256"))


def test_keys_that_do_not_fit_are_not_counted(issuer):
    issuer.keys = [*SPARE * 10, public(RSA)]
    assert issuer.claims(by(None))


def test_a_key_without_a_name_is_not_the_one_that_a_token_names(issuer):
    issuer.keys = [public(RSA)]
    not_verified(issuer, by("one"))


DECOYS = {
    "another kind": public(CURVES["ES256"], kid="one"),
    "another kind that says it is for RS256": public(CURVES["ES256"], kid="one", alg="RS256"),
    "another key": public(OTHER_RSA, kid="one"),
    "another algorithm": public(OTHER_RSA, kid="one", alg="PS256"),
    "for encryption": public(OTHER_RSA, kid="one", use="enc"),
    "symmetric": {"kty": "oct", "k": "QUFB", "kid": "one", "alg": "RS256"},
    "unknown kind": {"kty": "AKP", "pub": "AAAA", "kid": "one", "alg": "ML-DSA-44"},
    "no kind": {"kid": "one"},
    "odd kind": {"kty": ["RSA"], "kid": "one"},
    "no object": "one",
    "nothing": None,
    "broken": public(RSA, kid="one", n="!"),
    "empty": public(RSA, kid="one", n="", e=""),
    "even exponent": public(RSA, kid="one", e="AAAC"),
    "not on its curve": public(CURVES["ES256"], kid="one", x=public(CURVES["ES256"])["y"]),
    "odd types": public(RSA, kid=["one"], use=["sig"], key_ops="verify", alg=7),
}


@pytest.mark.parametrize("name", DECOYS)
@pytest.mark.parametrize("first", [True, False])
def test_a_decoy_with_the_same_name_does_not_hide_the_key(issuer, name, first):
    right = public(RSA, kid="one", use="sig", alg="RS256", key_ops=["verify"])
    issuer.keys = [DECOYS[name], right] if first else [right, DECOYS[name]]
    assert issuer.claims(by("one"))
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": 7},
        {"alg": "RS512"},
        {"alg": "RSA-OAEP"},
        {"alg": "HS256"},
        {"alg": 7},
        {"alg": ["RS256"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"kty": "rsa"},
        {"kty": "EC"},
    ],
)
def test_a_key_for_something_else_verifies_nothing(issuer, members):
    issuer.keys = [public(RSA, kid="one", **members)]
    not_verified(issuer, by("one"))


def test_parts_of_a_key_that_have_no_business_in_a_set_do_no_harm(issuer):
    issuer.keys = [public(RSA, kid="one", x5c=["no certificate"], x5u=7, d="AAAA", ext=True, iat=1)]
    assert issuer.claims(by("one"))


@pytest.mark.filterwarnings("ignore")  # joserfc only warns of it, and no warning may be what refuses it
def test_an_rsa_key_under_2048_bits_verifies_nothing(issuer):
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    numbers = small.public_key().public_numbers()
    issuer.keys = [{"kty": "RSA", "n": int_to_base64(numbers.n, 256), "e": int_to_base64(numbers.e)}]
    what = f"{segment({'alg': 'RS256'})}.{segment(good_claims())}"
    signature = small.sign(what.encode(), padding.PKCS1v15(), hashes.SHA256())
    not_verified(issuer, f"{what}.{segment(signature)}")


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", "P-384"),
        ("ES384", "P-256"),
        ("ES256", "secp256k1"),
        ("EdDSA", "Ed448"),
        ("Ed25519", "Ed448"),
    ],
)
def test_a_key_of_another_curve_verifies_nothing(issuer, alg, key):
    made = (jwk.OKPKey if key.startswith("Ed") else jwk.ECKey).generate_key(key)
    issuer.keys = [public(made)]
    signer = "EdDSA" if key.startswith("Ed") else "ES256K" if key == "secp256k1" else f"ES{key[2:]}"
    not_verified(issuer, signed(good_claims(), {"alg": alg}, made, signer))


# --- sets that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (httpx.Response(404), "answered 404, no key set"),
        (httpx.Response(204), "answered 204, no key set"),
        (httpx.Response(302, headers={"Location": "https://evil.example/keys"}), "answered 302, no key set"),
        *(
            (httpx.Response(200, content=body), "no JSON object")
            for body in (b"", b"[]", b"<html>", b"null", b"[" * 9999)
        ),
        (httpx.Response(200, content=b'{"keys":[],"keys":[]}'), "no JSON object"),
        (httpx.Response(200, content=b'{"keys":[{"kty":"RSA","n":"AA","n":"AB"}]}'), "no JSON object"),
        *(
            (httpx.Response(200, json=body), "keys is no list")
            for body in ({}, {"keys": None}, {"keys": {"kty": "RSA"}})
        ),
        (httpx.Response(200, json={"keys": [{}] * 101}), "101 keys"),
        (httpx.Response(200, content=b" " * (1024 * 1024 + 1)), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_key_set_is_told(issuer, answer, match):
    issuer.answer = answer
    with pytest.raises(InvalidResponseError, match=match):
        issuer.claims(by("one"))


def test_an_empty_set_verifies_nothing(issuer):
    issuer.keys = []
    not_verified(issuer, by(None))


@pytest.mark.parametrize(
    "jwks_uri",
    [
        "http://login.example.com/keys",
        "/keys",
        "file:///etc/passwd",
        "https://a:b@login.example.com/",
        "https://x/#y",
        "-o",
    ],
)
def test_keys_are_not_fetched_from_just_anywhere(issuer, jwks_uri):
    with pytest.raises(InvalidResponseError, match=f"the jwks_uri in the metadata of {URL} cannot be used"):
        issuer.claims(by("one"), server=server(jwks_uri=jwks_uri))
    assert not respx.calls


def test_keys_may_come_without_tls_where_that_was_said(issuer):
    url = "http://keycloak:8080/keys"
    respx.get(url).respond(json={"keys": issuer.keys})
    issuer.id_tokens = IDTokens(frozenset({("http", "keycloak", 8080)}))
    with respx.mock as mock:
        mock.get(url).respond(json={"keys": issuer.keys})
        assert issuer.claims(by("one"), server=server(jwks_uri=url))


# --- over real connections ------------------------------------------------------------------------------------------


def check(
    oauth_server: OAuthServer, id_tokens: IDTokens, *, library: Any = "httpx", budget: Budget | None = None
) -> Any:
    """Check a good ID token with the keys of a bundled server."""
    return id_tokens.claims(
        Token(access_token=ACCESS_TOKEN, id_token=by("one")),
        server=server(jwks_uri=oauth_server.url + "/jwks"),
        client_id=CLIENT,
        via=Via(library),
        budget=budget or Budget(10),
    )


SET = json_answer(200, {"keys": [public(RSA, kid="one")]})


@pytest.fixture
def publishing(oauth_server: OAuthServer) -> OAuthServer:
    """A bundled server that publishes our key."""
    oauth_server.metadata_faults.always(SET)
    return oauth_server


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_keys_are_fetched_by_every_library_without_secrets(publishing, library):
    assert check(publishing, IDTokens(), library=library)["sub"] == SUBJECT
    (request,) = publishing.requests
    assert (request.method, request.path) == ("GET", "/jwks")
    assert request.header("Accept") == "application/json"
    assert request.header("Authorization") is None
    assert request.header("Cookie") is None


def test_twenty_threads_make_one_fetch(publishing):
    publishing.metadata_faults.add(Hold(), SET)
    id_tokens = IDTokens()
    with ThreadPoolExecutor(20) as pool:
        checks = [pool.submit(check, publishing, id_tokens) for _ in range(20)]
        publishing.wait_for(lambda: publishing.held)
        publishing.metadata_faults.release()
        assert [one.result(20)["sub"] for one in checks] == [SUBJECT] * 20
    assert len(publishing.requests) == 1


def test_a_fetch_by_somebody_else_is_not_waited_for_longer_than_the_budget(publishing):
    publishing.metadata_faults.add(Hold(), SET)
    id_tokens = IDTokens()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(check, publishing, id_tokens)
        publishing.wait_for(lambda: publishing.held)
        with pytest.raises(TransportError, match="others were fetching") as caught:
            check(publishing, id_tokens, budget=Budget(0.2))
        assert caught.value.sent is False
        publishing.metadata_faults.release()
        assert other.result(10)


def test_a_slow_answer_ends_with_the_budget(publishing):
    publishing.metadata_faults.add(Drip("body", interval=0.05, total=20), SET)
    with pytest.raises(TransportError, match=r"no complete answer within 0\.4 s") as caught:
        check(publishing, IDTokens(), budget=Budget(0.4))
    assert caught.value.sent is False  # no secret: what the token call spent is not lost


def test_a_token_that_waits_to_be_saved_stays_marked_while_keys_are_fetched(publishing):
    """The end of the process waits for what was sent and not yet saved: the answer with a rotated refresh token."""
    publishing.metadata_faults.add(Hold(), SET)
    budget = Budget(10)
    budget.sent = True
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(check, publishing, IDTokens(), budget=budget)
        publishing.wait_for(lambda: publishing.held)
        assert budget.sent
        assert budget.phase == f"fetching {publishing.url}/jwks"
        publishing.metadata_faults.release()
        assert answer.result(10)
    assert budget.sent


def test_a_server_that_is_down_is_told_as_such(publishing):
    publishing.metadata_faults.add(unavailable())
    with pytest.raises(TransportError, match="503") as caught:
        check(publishing, IDTokens())
    assert copy.copy(caught.value).sent is False


def test_the_bundled_server_publishes_a_key_that_can_be_read(oauth_server):
    (key,) = keys.read_keys(httpx.get(oauth_server.url + "/jwks").json()["keys"], JWKS_URI)
    assert key.algorithms == {"RS256"}
