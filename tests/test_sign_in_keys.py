"""The issuer's keys are fetched before a code is spent: without them, what it brings could not be checked."""

import re

import pytest

from video_oauth_auth import DeviceCode, InvalidResponseError, TransportError
from video_oauth_auth.login import sign_in as sign_in_module
from video_oauth_auth.testing import Answer, FormFiller

from . import sign_ins
from .sign_ins import PEOPLE, auth_of, begun, codes_sent, people_server, sign_in

server = sign_ins.server

JWKS = "/jwks"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sign_in_module, "PAUSE", 0.0)


def test_while_the_keys_cannot_be_had_no_code_is_spent_and_the_same_answer_works_afterwards(server):
    auth = auth_of(server, metadata=server.issuer)
    pending, back = begun(auth)
    server.metadata_faults.always(Answer(503), path=JWKS)
    with pytest.raises(TransportError) as caught:
        auth.complete_login(pending, back)
    assert (caught.value.sent, caught.value.transient) == (False, True)
    assert codes_sent(server) == []
    assert auth.users() == []
    server.metadata_faults.clear()
    token = auth.complete_login(pending, back)
    assert token.claims["sub"] == "ann"
    assert auth.users() == ["ann"]
    assert len(codes_sent(server)) == 1


def test_a_key_set_that_fails_once_delays_a_sign_in_only(server):
    auth = auth_of(server, metadata=server.issuer)
    pending, back = begun(auth)
    server.metadata_faults.add(Answer(503), path=JWKS)
    assert auth.complete_login(pending, back).claims["sub"] == "ann"
    assert len(codes_sent(server)) == 1


def test_a_key_set_that_is_none_costs_no_code(server):
    auth = auth_of(server, metadata=server.issuer)
    pending, back = begun(auth)
    server.metadata_faults.add(Answer(200, body="no JSON"), path=JWKS)
    with pytest.raises(InvalidResponseError):
        auth.complete_login(pending, back)
    assert codes_sent(server) == []
    assert auth.complete_login(pending, back).claims["sub"] == "ann"


@pytest.mark.parametrize("scope", [None, "video"])
def test_where_no_id_token_is_asked_for_no_keys_are_fetched(server, scope):
    auth = auth_of(server, metadata=server.issuer, scope=scope)
    server.metadata_faults.always(Answer(503), path=JWKS)
    assert sign_in(auth).id_token is None
    assert [request.path for request in server.requests if request.path == JWKS] == []


def test_new_keys_that_cannot_be_had_end_the_sign_in_for_good(server):
    """The code is spent by then, and sending it once more would not help."""
    auth = auth_of(server, metadata=server.issuer)
    sign_in(auth, "bob")  # with the old keys
    server.rotate_keys()
    pending, back = begun(auth)
    server.metadata_faults.always(Answer(503), path=JWKS)
    with pytest.raises(InvalidResponseError, match=r"could not be checked: .*503.*\. Sign in once more"):
        auth.complete_login(pending, back)
    assert auth.users() == ["bob"]
    assert len(codes_sent(server)) == 2


def test_a_device_code_is_not_spent_while_the_keys_cannot_be_had():
    told = re.compile(r"open\n\n    (\S+)\n\nand enter the code\n\n    (\S+)")

    def show(text):
        if found := told.search(text):
            FormFiller("ann", PEOPLE["ann"]).approve_device(found[1], found[2])

    with people_server(device_interval=0.05) as server:
        auth = auth_of(server, metadata=server.issuer, grant=DeviceCode(scope="openid"))
        server.metadata_faults.add(Answer(503), path=JWKS)
        token = auth.login(notify=show, timeout=20)
        assert token.claims["sub"] == "ann"
        assert auth.source.peek() == token
        assert len(server.token_calls) == 1
