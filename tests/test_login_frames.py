"""No frame of the library that a raised error leads to has a code, a state or a verifier in it."""

import asyncio
import threading
import urllib.request

import pytest

from video_oauth_auth import AuthorizationRequest, ConfigurationError, TransportError
from video_oauth_auth.login.interactive import Person
from video_oauth_auth.testing import Answer, FormFiller

from . import login_runs, sign_ins
from .sign_ins import PEOPLE, auth_of, begun, told
from .test_login_secrets import check_no_secret
from .test_secrets import everything_shown_by

server = sign_ins.server

LIBRARIES = pytest.mark.parametrize("library", ["threads", "asyncio"])


def complete(auth, pending, back, library, **keywords):
    if library == "asyncio":
        return asyncio.run(auth.acomplete_login(pending, back, **keywords))
    return auth.complete_login(pending, back, **keywords)


def log_in(auth, library, **keywords):
    return asyncio.run(auth.alogin(**keywords)) if library == "asyncio" else auth.login(**keywords)


def visit(url):
    """Open an URL as a browser does; HTTP libraries would log it, and with it the code."""
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20).close()


@LIBRARIES
def test_no_frame_shows_plain_values_that_were_given_instead_of_the_request(server, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    with pytest.raises(ConfigurationError, match=r"AuthorizationRequest\.from_dict\(\)") as caught:
        complete(auth, pending.to_dict(), back, library)
    check_no_secret(server, caught.value, pending, back)


@LIBRARIES
def test_no_frame_shows_an_answer_for_which_no_user_was_named(server, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    nobodys = AuthorizationRequest.from_dict({**pending.to_dict(), "user": None})
    with pytest.raises(ConfigurationError, match="whose sign-in is this") as caught:
        complete(auth, nobodys, back, library)
    check_no_secret(server, caught.value, pending, back)


@LIBRARIES
def test_no_frame_shows_an_answer_that_came_with_a_name_for_a_function(server, library):
    auth = auth_of(server)
    pending, back = begun(auth)
    with pytest.raises(ConfigurationError, match="is a callable") as caught:
        complete(auth, pending, back, library, user="ann")
    check_no_secret(server, caught.value, pending, back)


@LIBRARIES
def test_no_frame_of_login_shows_the_answer_that_the_browser_brought(server, monkeypatch, library):
    login_runs.machine_without_browser(monkeypatch)
    auth = auth_of(server, redirect_uri=login_runs.FREE)
    answers, browsers = [], []

    def browser(url):
        answers.append(FormFiller("ann", PEOPLE["ann"]).authorize(url))
        browsers.append(threading.Thread(target=visit, args=answers))
        browsers[0].start()

    server.token_faults.always(Answer(500))
    with pytest.raises(TransportError) as caught:
        log_in(auth, library, open_browser=browser, notify=lambda _: None, timeout=20)
    browsers[0].join(30)
    shown = everything_shown_by(caught.value)
    form = server.token_calls[0].form
    secrets = {*server.secrets(), *told(answers[0]).values(), form["code"], form["code_verifier"]} - {server.issuer}
    assert [secret[:4] for secret in secrets if secret in shown] == []


def test_the_text_of_a_person_does_not_show_what_they_are_reminded_of():
    person = Person(open_browser=False, timeout=10, cancel=None, notify=None, user="ann")
    person.reminder = " Open https://login.example.com/?state=an-invented-state"
    assert "an-invented-state" not in repr(person)
    assert "ann" in repr(person)
