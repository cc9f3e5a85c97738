"""WWW-Authenticate: when a 401 is about the token, and that no header, however odd, costs time or sends us wrong."""

import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_oauth_auth.replay import challenges, renewal_may_help
from video_oauth_auth.testing import Answer


def read(header: str) -> list[tuple[str, dict[str, str]]]:
    return list(challenges(header))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("Bearer", [("bearer", {})]),
        ("BEARER", [("bearer", {})]),
        ("Bearer, Basic", [("bearer", {}), ("basic", {})]),
        ('Bearer realm="api"', [("bearer", {"realm": "api"})]),
        ("Bearer realm=api", [("bearer", {"realm": "api"})]),
        ('Bearer realm = "api" , error = "invalid_token"', [("bearer", {"realm": "api", "error": "invalid_token"})]),
        ('Bearer REALM="api",Error="invalid_token"', [("bearer", {"realm": "api", "error": "invalid_token"})]),
        ('Bearer realm="a, b", error="x"', [("bearer", {"realm": "a, b", "error": "x"})]),
        (r'Bearer realm="a \"quoted\" \\ b", error="x"', [("bearer", {"realm": r'a "quoted" \ b', "error": "x"})]),
        ('Bearer realm=""', [("bearer", {"realm": ""})]),
        (r'Basic realm="Bearer error=\"invalid_token\""', [("basic", {"realm": 'Bearer error="invalid_token"'})]),
        ('Basic realm="x", Bearer error="y"', [("basic", {"realm": "x"}), ("bearer", {"error": "y"})]),
        ("Negotiate YII+/abc==, Bearer", [("negotiate", {}), ("bearer", {})]),
        ("Negotiate, Bearer scope=a", [("negotiate", {}), ("bearer", {"scope": "a"})]),
        (", ,Bearer error=x, ,", [("bearer", {"error": "x"})]),
        ("Bearer error=x, error=y", [("bearer", {"error": "x"})]),
        ('Bearer realm="never closed, error="x"', None),
        ('Bearer realm="never closed', [("bearer", {"realm": "never closed"})]),
        ("error=x", []),
        ("\x00\x01\x02", []),
    ],
)
def test_challenges_are_read_as_rfc_9110_writes_them(header, found):
    if found is None:  # broken beyond one right reading: the scheme is all that has to come through
        assert [name for name, _ in read(header)] == ["bearer"]
    else:
        assert read(header) == found


@pytest.mark.parametrize(
    ("status", "header", "scheme", "helps"),
    [
        (401, "", "Bearer", True),
        (401, "Bearer", "Bearer", True),
        (401, 'Bearer realm="api", error="invalid_token"', "Bearer", True),
        (401, "bearer error=invalid_request", "Bearer", True),
        (401, 'Bearer error="insufficient_scope", scope="more"', "Bearer", False),
        (401, 'Basic realm="x", Bearer error="insufficient_scope"', "Bearer", False),
        (401, 'Basic realm="api"', "Bearer", False),
        (401, "Negotiate YII+/abc==", "Bearer", False),
        (401, 'Digest realm="r", nonce="n", qop="auth", Bearer realm="api"', "Bearer", True),
        (401, 'Basic realm="Bearer error=invalid_token"', "Bearer", False),
        (401, 'Bearer error_description="error=\\"insufficient_scope\\""', "Bearer", True),
        (401, "OAuth realm=x", "OAuth", True),
        (401, "oauth realm=x", "OAuth", True),
        (401, "OAuth realm=x", "Bearer", False),
        (401, "Bearer", None, True),
        (401, "Basic", None, False),
        (401, ",,,", "Bearer", True),
        (403, 'Bearer error="invalid_token"', "Bearer", False),
        (403, "", "Bearer", False),
        (407, "Bearer", "Bearer", False),
        (200, 'Bearer error="invalid_token"', "Bearer", False),
        (500, 'Bearer error="invalid_token"', "Bearer", False),
    ],
)
def test_only_a_401_about_the_token_is_worth_a_renewal(status, header, scheme, helps):
    assert renewal_may_help(status, header, scheme) is helps


# --- hypothesis ---------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
tokens = st.from_regex(TOKEN, fullmatch=True).filter(lambda text: len(text) <= 20)
values = st.text(max_size=30)
blanks = st.sampled_from(["", " ", "\t", "  "])


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def headers(draw: Any) -> tuple[str, list[tuple[str, dict[str, str]]]]:
    """Write a header by the grammar of RFC 9110, section 11.6.1, and tell what it says."""
    said = draw(st.lists(st.tuples(tokens, st.dictionaries(tokens.map(str.lower), values, max_size=4)), max_size=4))
    elements = []
    for scheme, parameters in said:
        written = []
        for name, value in parameters.items():
            plain = TOKEN.fullmatch(value) is not None and draw(st.booleans())
            cased = name.upper() if draw(st.booleans()) else name
            written.append(f"{cased}{draw(blanks)}={draw(blanks)}{value if plain else quoted(value)}")
        first, *others = written or [""]
        elements += [f"{scheme} {first}", *others]
    commas = [draw(blanks) + "," + draw(blanks) + draw(st.sampled_from(["", ", "])) for _ in elements]
    header = "".join(element + comma for element, comma in zip(elements, commas, strict=True))
    return header, [(scheme.lower(), parameters) for scheme, parameters in said]


@given(headers())
@example((r'Bearer a="\\", b="\"", c=","', [("bearer", {"a": "\\", "b": '"', "c": ","})]))
def test_what_is_written_by_the_grammar_is_read_back(case):
    header, said = case
    assert read(header) == said


noise = st.text(alphabet='",\\= \tBearerinvalid_token\x00é', max_size=200)


@given(noise | st.text(max_size=200))
@example('Bearer "\\')
@example('a="' + "\\" * 99)
def test_nonsense_is_passed_over(header):
    for scheme, parameters in read(header):
        assert TOKEN.fullmatch(scheme)
        assert all(TOKEN.fullmatch(name) and name == name.lower() for name in parameters)
    assert renewal_may_help(401, header, "Bearer") in (True, False)


@given(noise)
def test_nonsense_behind_a_whole_challenge_does_not_change_it(header):
    assert read(f'Basic realm="x", {header}')[0][0] == "basic"
    assert not renewal_may_help(401, f'Bearer error="insufficient_scope", {header}', "Bearer")


# --- time ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    '"',
    "\\",
    ",",
    '"\\',
    '\\"',
    '",',
    ' "',
    "a",
    "=",
    "a=",
    'a="',
    'a="\\',
    'a="" ',
    "a ",
    "a, ",
    "Bearer ",
    "Bearer a=b, ",
    "\t =",
    " ",
    "\x00",
]


@pytest.mark.parametrize("piece", HOSTILE, ids=map(repr, HOSTILE))
@pytest.mark.parametrize("prefix", ["", "Bearer ", 'Bearer realm="'], ids=["bare", "scheme", "quote"])
def test_a_mebibyte_of_anything_is_read_in_no_time(piece, prefix):
    header = prefix + piece * (2**20 // len(piece))
    started = time.perf_counter()
    found = read(header)
    assert time.perf_counter() - started < 2.0  # a quadratic reader would need minutes, this one milliseconds
    assert len(found) <= 2**14


@pytest.mark.parametrize("count", [2**12, 2**14 - 64])
@pytest.mark.parametrize("piece", HOSTILE, ids=map(repr, HOSTILE))
def test_time_grows_no_faster_than_the_header(piece, count):
    """The longest headers that are read at all: what backtracks shows here, behind any cap on the length."""
    header = ('Bearer realm="x", ' + piece * count)[:count]
    started = time.perf_counter()
    for _ in range(10):
        read(header)
    assert time.perf_counter() - started < 2.0


# --- over a socket ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenge", "calls"),
    [
        ((("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Bearer error="invalid_token"')), 2),
        ((("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", 'Basic realm="Bearer"')), 1),
        ((("WWW-Authenticate", 'Basic realm="a, b"'), ("WWW-Authenticate", 'Bearer error="insufficient_scope"')), 1),
        ((("WWW-Authenticate", '"' * 20_000),), 2),
    ],
    ids=["second line", "not ours", "scope in the second line", "quotes"],
)
def test_several_header_lines_are_one_list(client, oauth_server, auth_for, challenge, calls):
    oauth_server.api_faults.add(Answer(401, headers=challenge))
    answer = client.send(auth_for(oauth_server), "GET", f"{oauth_server.api_url}/me")
    assert answer.status_code == (200 if calls == 2 else 401)
    assert len(oauth_server.token_calls) == calls
