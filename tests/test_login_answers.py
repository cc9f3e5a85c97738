"""Answers to a sign-in: which are read, which are refused. A refused one costs nothing; the right one can follow."""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_oauth_auth import (
    AuthorizationRequest,
    AuthorizationServer,
    ConfigurationError,
    InvalidResponseError,
    LoginRequired,
    OAuthError,
    ResponseError,
)
from video_oauth_auth.login import authorization

from . import sign_ins
from .sign_ins import WEB, auth_of, callback, changed, codes_sent, people_server, sign_in, told, whose

server = sign_ins.server

PENDING = AuthorizationRequest(
    url="https://login.example.com/authorize?x",
    state="the-invented-state-of-this-sign-in-0123456789",
    code_verifier="the-invented-code-verifier-of-this-sign-in-01",
    nonce="the-invented-nonce-of-this-sign-in-0123456789",
    redirect_uri=WEB,
    issuer="https://login.example.com",
    client_id="the-client",
    user="ann",
)
SERVER = AuthorizationServer(issuer="https://login.example.com", token_endpoint="https://login.example.com/token")
RIGHT = {"code": "the-code", "state": PENDING.state, "iss": "https://login.example.com"}


# --- how an answer may come ---------------------------------------------------------------------------------------


class LikeStarlette(Mapping[str, str]):
    """Holds pairs; gives the last value of a name. So do Django's and others'."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(dict(self.pairs))

    def getlist(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]


class LikeWerkzeug(dict[str, list[str]]):
    """A dict of lists that gives the first value."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return dict.__getitem__(self, name)[0]

    def getlist(self, name: str) -> list[str]:
        return dict.__getitem__(self, name)


class LikeBottle(LikeStarlette):
    """The same under another name."""

    getlist = None

    def getall(self, name: str) -> list[str]:
        return LikeStarlette.getlist(self, name)


class LikeAiohttp(LikeBottle):
    """Iterates over a name as often as it is there, and gives the first value."""

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.pairs if key == name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)


def listed(pairs):
    return {name: [value for key, value in pairs if key == name] for name, _ in pairs}


FRAMEWORKS = {kind.__name__: kind for kind in (LikeStarlette, LikeWerkzeug, LikeBottle, LikeAiohttp)} | {
    "a dict of lists": listed,
    "a dict of tuples": lambda pairs: {name: tuple(values) for name, values in listed(pairs).items()},
}
every_framework = pytest.mark.parametrize("made", FRAMEWORKS.values(), ids=list(FRAMEWORKS))

WAYS = {
    "the URL": lambda url: url,
    "the URL with blanks around it": lambda url: f"  {url}\r\n",
    "the URL behind a proxy that ends TLS": lambda url: url.replace("https://films.example", "http://10.0.0.7:8000"),
    "a URL of the application's own": lambda url: f"/callback?{urlsplit(url).query}",
    "the query": lambda url: urlsplit(url).query,
    "the query with its question mark": lambda url: f"?{urlsplit(url).query}",
    "the fragment": lambda url: f"#{urlsplit(url).query}",
    "a URL with the fragment": lambda url: url.replace("?", "#"),
    "a URL of a one-page application": lambda url: url.replace("?", "#/?"),
    "a dict": told,
    "what parse_qs gives": lambda url: parse_qs(urlsplit(url).query),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_only_the_parameters_of_an_answer_are_read(server, way):
    auth = auth_of(server)
    pending = auth.begin_login(user="ann")
    back = callback(pending)
    assert auth.complete_login(pending, way(back)).claims["sub"] == "ann"
    assert codes_sent(server) == [told(back)["code"]]
    assert server.token_calls[0].form["redirect_uri"] == WEB


@every_framework
def test_the_parameters_of_web_frameworks_are_read(made):
    assert authorization.checked_answer(PENDING, made(list(RIGHT.items())), SERVER) == "the-code"


@every_framework
@pytest.mark.parametrize("name", ["code", "state", "iss", "x"])
def test_a_parameter_that_a_web_framework_holds_twice_is_refused(made, name):
    pairs = [*RIGHT.items(), ("x", "1"), (name, "other")]
    with pytest.raises(InvalidResponseError, match="twice"):
        authorization.checked_answer(PENDING, made(pairs), SERVER)


def test_a_server_that_answers_in_the_fragment_is_understood():
    """movingimage's page shows such a callback URL."""
    with people_server(always_fragment=True) as server:
        auth = auth_of(server)
        pending = auth.begin_login(user="ann")
        back = callback(pending)
        assert urlsplit(back).query == ""
        assert auth.complete_login(pending, back).claims["sub"] == "ann"


# --- what is refused ----------------------------------------------------------------------------------------------

FORGED = {
    "another state": lambda url: changed(url, state="x" * 43),
    "a state in other letters": lambda url: changed(url, state=told(url)["state"].swapcase()),
    "a shorter state": lambda url: changed(url, state=told(url)["state"][:-1]),
    "a longer state": lambda url: changed(url, state=told(url)["state"] + "x"),
    "a state with a blank": lambda url: changed(url, state=" " + told(url)["state"]),
    "an empty state": lambda url: changed(url, state=""),
    "no state": lambda url: changed(url, state=None),
    "a state of other letters": lambda url: changed(url, state="ä" * 43),
    "a state that is no text": lambda url: {**told(url), "state": "\udcff" * 43},
    "a denial with another state": lambda url: changed(url, state="x", code=None, error="access_denied"),
    "an error without state": lambda url: changed(url, state=None, code=None, error="server_error"),
    "another issuer": lambda url: changed(url, iss="https://evil.example"),
    "the issuer with a slash": lambda url: changed(url, iss=told(url)["iss"] + "/"),
    "the issuer in capitals": lambda url: changed(url, iss=told(url)["iss"].upper()),
    "an empty issuer": lambda url: changed(url, iss=""),
    "no issuer": lambda url: changed(url, iss=None),
    "a denial of another issuer": lambda url: changed(
        url, iss="https://evil.example", code=None, error="access_denied"
    ),
    "a denial of no issuer": lambda url: changed(url, iss=None, code=None, error="access_denied"),
    "a code twice": lambda url: f"{url}&code=x",
    "the same code twice": lambda url: f"{url}&code={told(url)['code']}",
    "a code twice in other letters": lambda url: f"{url}&%63ode=x",
    "a code twice as a path": lambda url: f"{url}&/code=x",
    "a state twice": lambda url: f"{url}&state=x",
    "an issuer twice": lambda url: f"{url}&iss=https%3A%2F%2Fevil.example",
    "anything twice": lambda url: f"{url}&x=1&x=1",
    "a code in the query and one in the fragment": lambda url: f"{url}#code=x",
    "a code and an error": lambda url: f"{url}&error=access_denied",
    "a code and an empty error": lambda url: f"{url}&error=",
    "neither a code nor an error": lambda url: changed(url, code=None),
    "an empty code": lambda url: changed(url, code=""),
    "nothing": lambda url: "",
    "no parameters": lambda url: WEB,
    "no parameters in a dict": lambda url: {},
    "endless": lambda url: f"{url}&x={'x' * 16_384}",
    "an endless value": lambda url: {**told(url), "x": "x" * 17_000},
    "a value that is a number": lambda url: {**told(url), "x": 1},
    "a value that is nothing": lambda url: {**told(url), "error": None},
    "a value that is bytes": lambda url: {**told(url), "code": b"x"},
    "no URL": lambda url: "http://[::1/?" + urlsplit(url).query,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=list(FORGED))
def test_a_forged_answer_is_refused_and_costs_nothing(server, forge):
    auth = auth_of(server)
    before = sign_in(auth)
    pending = auth.begin_login(user="ann")
    back = callback(pending)
    calls = len(server.token_calls)
    with pytest.raises(InvalidResponseError, match="this answer "):
        auth.complete_login(pending, forge(back))
    assert len(server.token_calls) == calls
    assert auth.for_user("ann").source.get_token() == before
    assert auth.complete_login(pending, back) == auth.for_user("ann").source.get_token() != before


@pytest.mark.parametrize("answer", [None, 5, b"?code=x", ["code", "x"], [("code", "x")], object()])
def test_what_is_no_answer_at_all_is_a_mistake_of_the_program(server, answer):
    auth = auth_of(server)
    with pytest.raises(ConfigurationError, match="callback URL or a mapping"):
        auth.complete_login(auth.begin_login(user="ann"), answer)


def test_an_empty_state_belongs_to_nothing():
    """A sign-in that was made by hand must not be completed by an answer without state."""
    for answer in ("?code=x", "?code=x&state="):
        with pytest.raises(InvalidResponseError, match="state is missing"):
            authorization.checked_answer(replace(PENDING, state=""), answer, SERVER)


def test_the_state_is_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append({one, other})
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(authorization, "hmac", Watched)
    assert authorization.belongs_to(PENDING, RIGHT)
    assert not authorization.belongs_to(PENDING, {**RIGHT, "state": "another"})
    assert compared == [{PENDING.state.encode()}, {b"another", PENDING.state.encode()}]


ISSUERS = [  # what the answer names, what the metadata name, whether they announce it, what comes of it
    ("https://login.example.com", "https://login.example.com", True, None),
    ("https://login.example.com", "https://login.example.com", False, None),
    (None, "https://login.example.com", False, None),
    (None, None, False, None),
    (None, "https://login.example.com", True, "names no issuer"),
    ("https://evil.example", "https://login.example.com", True, "not https://login.example.com"),
    ("https://evil.example", "https://login.example.com", False, "not https://login.example.com"),
    ("https://login.example.com:443", "https://login.example.com", True, "not https://login.example.com"),
    ("https://evil.example", None, False, r"compare it with.* AuthorizationServer\(issuer="),
]


@pytest.mark.parametrize(("named", "issuer", "announced", "message"), ISSUERS)
@pytest.mark.parametrize("kind", ["code", "error"])
def test_the_issuer_of_an_answer_is_compared_to_the_letter(named, issuer, announced, message, kind):
    """RFC 9207, for answers that say yes and for those that say no."""
    metadata = replace(SERVER, issuer=issuer, authorization_response_iss_parameter_supported=announced)
    answer = {kind: "the-code", "state": PENDING.state} | ({} if named is None else {"iss": named})
    if message:
        with pytest.raises(InvalidResponseError, match=message):
            authorization.checked_answer(PENDING, answer, metadata)
    elif kind == "error":
        with pytest.raises(ResponseError, match="the-code"):
            authorization.checked_answer(PENDING, answer, metadata)
    else:
        assert authorization.checked_answer(PENDING, answer, metadata) == "the-code"


def test_endpoints_without_an_issuer_cannot_be_compared_and_the_advice_works(server):
    known = server.authorization_server
    endpoints = {"authorization_endpoint": known.authorization_endpoint, "token_endpoint": known.token_endpoint}
    auth = auth_of(server, metadata=AuthorizationServer(**endpoints))
    pending = auth.begin_login(user="ann")
    with pytest.raises(InvalidResponseError, match=f"issuer '{server.issuer}'.* If it is the one that you expect"):
        auth.complete_login(pending, callback(pending))
    assert server.token_calls == ()
    told_so = AuthorizationServer(issuer=server.issuer, **endpoints)
    assert sign_in(auth_of(server, metadata=told_so)).access_token


@given(st.text() | st.text(alphabet="?#&=/%;:@code+state\x00\ud800", max_size=60))
def test_whatever_comes_as_text_fails_in_one_way(text):
    assert not authorization.belongs_to(PENDING, text)
    with pytest.raises(InvalidResponseError):
        authorization.checked_answer(PENDING, text, SERVER)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.lists(st.text()) | st.binary()))
def test_whatever_comes_as_parameters_fails_in_one_way(parameters):
    with pytest.raises(InvalidResponseError):
        authorization.checked_answer(PENDING, parameters, SERVER)


# --- the server says no -------------------------------------------------------------------------------------------


def test_whoever_says_no_is_told_so_and_the_old_sign_in_stays(server):
    auth = auth_of(server)
    before = sign_in(auth)
    pending = auth.begin_login(user="ann")
    with pytest.raises(LoginRequired, match="refused by the person or the server") as caught:
        auth.complete_login(pending, callback(pending, deny=True))
    assert (caught.value.reason, caught.value.user) == ("denied", "ann")
    assert auth.for_user("ann").source.get_token() == before
    assert whose(auth.for_user("ann"), server) == "ann"


def test_a_sign_in_that_may_show_nothing_says_that_somebody_has_to_sign_in(server):
    auth = auth_of(server)
    pending = auth.begin_login(user="ann", prompt="none")
    with pytest.raises(ResponseError, match="login_required: Nobody is signed in") as caught:
        auth.complete_login(pending, callback(pending))
    assert (caught.value.error, caught.value.error_description) == ("login_required", "Nobody is signed in.")
    assert server.token_calls == ()


def refusal(**members: str) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        authorization.checked_answer(PENDING, {"state": PENDING.state, **members}, SERVER)
    return caught.value


def test_an_error_of_the_server_can_be_told_apart():
    error = refusal(error="temporarily_unavailable", error_description="Try later.", error_uri="https://x.example/1")
    assert isinstance(error, ResponseError)
    assert (error.error, error.error_description) == ("temporarily_unavailable", "Try later.")
    assert error.error_uri == "https://x.example/1"
    assert "https://login.example.com" in str(error)


@pytest.mark.parametrize("error", ["access_denied", "invalid_request"])
def test_what_an_answer_says_is_shown_without_control_characters_and_endless_text(error):
    said = refusal(error=error, error_description="a\x1b]0;x\x07\r\nb\u202e" + "c" * 5000)
    assert "a ]0;x b" in str(said)
    assert len(str(said)) < 600
    assert not any(ord(character) < 32 or character == "\u202e" for character in str(said))
    assert len(str(refusal(error="e" * 5000))) < 300


@pytest.mark.parametrize("member", ["error", "error_description", "error_uri"])
@pytest.mark.parametrize("error", ["access_denied", "invalid_request"])
def test_a_server_that_repeats_our_secrets_does_not_bring_them_into_an_error(error, member):
    echo = f"not {PENDING.state}, {PENDING.nonce}, {PENDING.code_verifier}"
    said = refusal(**{"error": error, member: echo})
    shown = f"{said}{vars(said)}"
    assert not any(secret in shown for secret in (PENDING.state, PENDING.nonce, PENDING.code_verifier))


# --- two servers at once ------------------------------------------------------------------------------------------


def test_swapped_answers_of_two_servers_are_refused_by_both(server):
    with people_server() as other:
        here, there = auth_of(server), auth_of(other)
        begun_here, begun_there = here.begin_login(user="ann"), there.begin_login(user="ann")
        back_here, back_there = callback(begun_here), callback(begun_there)
        with pytest.raises(InvalidResponseError, match="does not belong"):
            here.complete_login(begun_here, back_there)
        with pytest.raises(InvalidResponseError, match="does not belong"):
            there.complete_login(begun_there, back_here)
        with pytest.raises(ConfigurationError, match="was begun for the client"):
            here.complete_login(begun_there, back_there)
        # A server that learned the state of the other sign-in still cannot make us send its code there.
        mixed = changed(back_there, state=begun_here.state)
        with pytest.raises(InvalidResponseError, match=f"comes from the issuer '{other.issuer}', not {server.issuer}"):
            here.complete_login(begun_here, mixed)
        assert server.token_calls == other.token_calls == ()
        assert here.complete_login(begun_here, back_here).claims["iss"] == server.issuer
        assert there.complete_login(begun_there, back_there).claims["iss"] == other.issuer


def test_the_secrets_of_a_begun_sign_in_are_not_shown():
    shown = f"{PENDING}{PENDING!r}{[PENDING]}"
    assert WEB in shown
    assert not any(text in shown for text in (PENDING.state, PENDING.code_verifier, PENDING.nonce, PENDING.url))
