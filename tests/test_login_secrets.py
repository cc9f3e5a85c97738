"""No error, log record or event of a sign-in shows a code, a state, a verifier, a nonce or a token."""

import asyncio
import logging

import pytest

from video_oauth_auth import (
    ConfigurationError,
    InvalidResponseError,
    OAuthError,
)
from video_oauth_auth.testing import Answer, Drop, html_page, json_answer

from . import engine, sign_ins
from .engine import Events
from .sign_ins import auth_of, begun, callback, forged, told
from .test_secrets import everything_shown_by, frames_of

clock, server = engine.clock, sign_ins.server


# --- what errors show ---------------------------------------------------------------------------------------------

FAULTS = {
    "a lost answer": Drop("after"),
    "a refusal": json_answer(400, {"error": "invalid_grant", "error_description": "no"}),
    "nonsense": html_page(),
    "a server error": Answer(500),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
@pytest.mark.parametrize("library", ["threads", "asyncio"])
def test_no_error_of_a_sign_in_shows_a_secret(server, fault, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    server.token_faults.add(fault)
    with pytest.raises(OAuthError) as caught:
        complete(auth, pending, back, library)
    check_no_secret(server, caught.value, pending, back)


@pytest.mark.parametrize("library", ["threads", "asyncio"])
def test_no_error_of_a_forged_answer_shows_a_secret(server, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    with pytest.raises(OAuthError) as caught:
        complete(auth, pending, f"{back}&x=1&x=1", library)
    check_no_secret(server, caught.value, pending, back)


@pytest.mark.parametrize("library", ["threads", "asyncio"])
def test_no_error_of_an_id_token_shows_a_secret(server, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    forged(server, nonce="the-nonce-of-another-sign-in")
    with pytest.raises(InvalidResponseError) as caught:
        complete(auth, pending, back, library)
    check_no_secret(server, caught.value, pending, back)


def test_no_error_of_the_users_own_function_shows_a_secret(server):
    auth = auth_of(server)
    pending = auth.begin_login(user=lambda token: {}[token.access_token])
    back = callback(pending)
    with pytest.raises(ConfigurationError, match="the callable given as user= failed: KeyError") as caught:
        auth.complete_login(pending, back)
    check_no_secret(server, caught.value, pending, back)


def complete(auth, pending, back, library):
    if library == "asyncio":
        return asyncio.run(auth.acomplete_login(pending, back))
    return auth.complete_login(pending, back)


def check_no_secret(server, error, pending, back):
    """Everything that hangs on the error, the library's frames included."""
    shown = everything_shown_by(error)
    assert len(list(frames_of(error))) >= 1
    secrets = {*server.secrets(), told(back)["code"], pending.state, pending.code_verifier, pending.nonce}
    assert [secret[:4] for secret in secrets if secret in shown] == []


def test_a_whole_sign_in_and_its_end_show_no_secret_in_any_log_or_event(server, caplog):
    caplog.set_level(logging.DEBUG)
    events = Events()
    auth = auth_of(server, on_event=events)
    shown = []
    pending, back = begun(auth)
    shown += [pending, pending.user, auth.complete_login(pending, back)]
    ann = auth.for_user("ann")
    shown += [
        auth,
        ann,
        ann.source,
        ann.source.status(),
        auth.users(),
        ann.userinfo(),
        ann.logout(),
        ann.source.status(),
    ]
    text = f"{shown!r}{shown}{caplog.text}{events.seen!r}"
    assert "TokenRenewed" in text
    assert {"httpcore", "httpx"} & {record.name.partition(".")[0] for record in caplog.records}
    secrets = {*server.secrets(), told(back)["code"], pending.state, pending.code_verifier, pending.nonce}
    assert len(secrets) > 8
    assert [secret[:4] for secret in secrets if secret in text] == []
