"""`FormFiller`: a person with a browser, who signs in where a program sends them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from video_oauth_auth.testing import Answer, FormFiller, Hold, OAuthServer, html_page, redirect
from video_oauth_auth.testing.forms import forms_of

from .login_steps import BACK, NAME, PASSWORD, authorization_url, call, redeem

SCRIPT = "<script>location.replace('?' + location.hash.slice(1))</script>"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer(users={NAME: PASSWORD}) as running:
        yield running


def url(server: OAuthServer, **changes: str | None) -> str:
    return str(authorization_url(server, **changes))


def told(callback: str) -> dict[str, list[str]]:
    parts = urlsplit(callback)
    return parse_qs(parts.query or parts.fragment)


def to_foreign(server: OAuthServer) -> dict[str, str]:
    """A client whose redirect URI is at the foreign site."""
    return {"redirect_uri": f"{server.foreign_url}/callback"}


def queries(server: OAuthServer) -> list[dict[str, list[str]]]:
    """What the client's redirect URI, at the foreign site, was told."""
    return [parse_qs(request.query) for request in server.requests_to("foreign")]


def test_it_signs_in_and_gives_the_url_that_leads_back(server):
    callback = FormFiller(NAME, PASSWORD).authorize(url(server))
    assert callback.startswith(f"{BACK}?code=")
    assert told(callback)["state"] == ["the state"]
    assert redeem(server, told(callback)["code"][0]).status_code == 200


def test_it_opens_the_url_that_leads_back(server):
    page = FormFiller(NAME, PASSWORD).open(url(server, **to_foreign(server)))
    assert (page.status, page.text) == (200, "a foreign site")
    assert [query["state"] for query in queries(server)] == [["the state"]]


def test_it_can_deny(server):
    callback = FormFiller(NAME, PASSWORD, deny=True).authorize(url(server))
    assert told(callback)["error"] == ["access_denied"]


def test_a_fragment_is_given_and_not_sent(server):
    server.always_fragment = True
    person = FormFiller(NAME, PASSWORD)
    assert urlsplit(person.authorize(url(server))).fragment.startswith("code=")
    person.open(url(server, **to_foreign(server)))
    assert queries(server) == [{}]


@pytest.mark.parametrize("tenant", ["", "?tenant=1"])
def test_a_page_that_reads_the_fragment_is_told_it(server, tenant):
    server.always_fragment = True
    server.foreign_answer = Answer(200, body=SCRIPT)
    FormFiller(NAME, PASSWORD).open(url(server, redirect_uri=f"{server.foreign_url}/callback{tenant}"))
    first, second = queries(server)
    assert "code" not in first
    assert second.keys() == {"code", "state", "iss"}


def test_it_works_in_the_background_until_it_is_joined(server):
    person = FormFiller(NAME, PASSWORD)
    server.authorization_faults.add(Hold())
    assert person.open_in_background(url(server, **to_foreign(server))) is True
    server.wait_for(lambda: server.held == 1)
    with pytest.raises(TimeoutError):
        person.join(timeout=0.01)
    server.release()
    person.join()
    assert len(queries(server)) == 1
    assert "form-filler" not in {thread.name for thread in threading.enumerate()}


def test_what_went_wrong_in_the_background_is_raised_once(server):
    person = FormFiller(NAME, "wrong")
    person.open_in_background(url(server))
    with pytest.raises(RuntimeError, match="still a form after 5"):
        person.join()
    person.join()


def test_a_page_that_leads_nowhere_is_an_error(server):
    person = FormFiller(NAME, PASSWORD)
    with pytest.raises(RuntimeError, match="status 400"):
        person.authorize(url(server, client_id="nobody"))
    with pytest.raises(ValueError, match="no redirect_uri"):
        person.authorize(f"{server.url}/authorize")
    server.authorization_faults.add(redirect(302, "javascript:alert(1)"))
    with pytest.raises(RuntimeError, match="javascript"):
        person.authorize(url(server))
    server.authorization_faults.always(redirect(302, "/authorize"))
    with pytest.raises(RuntimeError, match="redirects"):
        person.authorize(url(server))


def test_a_page_that_does_not_come_is_an_error(server):
    with pytest.raises(OSError, match="refused"):
        FormFiller(NAME, PASSWORD).open(url(server, redirect_uri="http://127.0.0.1:1/callback"))


def test_it_shows_no_password(server):
    person = FormFiller(NAME, PASSWORD)
    page = person.open(url(server, **to_foreign(server)))
    assert PASSWORD not in repr(person)
    assert repr(page) == "WebPage(status=200)"


# Forms of others


def page(form: str, **headers: str) -> Answer:
    return Answer(200, headers={"Content-Type": "text/html", **headers}, body=f"<html><body>{form}</body></html>")


def test_two_forms_and_a_cookie_as_oidc_provider_has_them(server):
    login = '<form method="POST" action="/login?x=1"><input name="login"><input type=password name=password>'
    login += '<button type="submit" class="login">Sign-in</button></form><a href="/abort">[ Cancel ]</a>'
    consent = '<form autocomplete="off" method="post"><input type="hidden" name="prompt" value="consent"/>'
    consent += '<button autofocus type="submit">Continue</button></form>'
    faults = server.authorization_faults
    secure = "session=s; Path=/; HttpOnly; Secure; SameSite=None"
    faults.add(page(login, **{"Set-Cookie": secure}))
    server.metadata_faults.add(page(consent), path="/login")
    server.metadata_faults.add(redirect(303, f"{BACK}?code=c"), path="/login")
    assert FormFiller(NAME, PASSWORD).authorize(url(server)) == f"{BACK}?code=c"

    first, second = [request for request in server.requests if request.path == "/login"]
    assert (first.form, first.query) == ({"login": NAME, "password": PASSWORD}, "x=1")
    assert second.form == {"prompt": "consent"}
    assert {request.header("Cookie") for request in (first, second)} == {"session=s"}


def test_the_form_of_keycloak(server):
    form = '<form id="kc-form-login" action="{}?session_code=a&amp;tab_id=b" method="post"><input id="username" '
    form += 'name="username" value="" type="text" autofocus/><input id="password" name="password" type="password"/>'
    form += '<input id="rememberMe" name="rememberMe" type="checkbox"/><input type="hidden" name="credentialId"/>'
    form += '<input tabindex="4" name="login" id="kc-login" type="submit" value="Sign In"/></form>'
    server.metadata_faults.add(redirect(302, f"{BACK}?code=c"), path="/login-actions/authenticate")
    server.authorization_faults.add(page(form.format("/login-actions/authenticate")))
    assert FormFiller(NAME, PASSWORD).authorize(url(server)) == f"{BACK}?code=c"
    (request,) = [request for request in server.requests if request.method == "POST"]
    assert request.query == "session_code=a&tab_id=b"
    assert request.form == {"username": NAME, "password": PASSWORD, "credentialId": "", "login": "Sign In"}


def test_a_no_is_said_on_the_first_page_that_lets_one(server):
    """Keycloak asks for the password first, and then whether a device may have access."""
    code = '<form method="post" action="/code"><input id="device-user-code" name="device_user_code" type="text"></form>'
    login = '<form method="post" action="/login"><input name="username"><input name="password" type="password">'
    login += '<input name="login" type="submit" value="Sign In"></form>'
    consent = '<form method="post" action="/consent"><input name="accept" type="submit" value="Yes">'
    consent += '<input name="cancel" type="submit" value="No"></form>'
    server.authorization_faults.add(page(code), path="/device")
    server.metadata_faults.add(page(login), path="/code")
    server.metadata_faults.add(page(consent), path="/login")
    server.metadata_faults.add(html_page("Not signed in"), path="/consent")
    FormFiller(NAME, PASSWORD, deny=True).approve_device(f"{server.url}/device", "ABCD-EFGH")
    assert [request.form for request in server.requests[1:]] == [
        {"device_user_code": "ABCD-EFGH"},
        {"username": NAME, "password": PASSWORD, "login": "Sign In"},
        {"cancel": "No"},
    ]


def test_a_form_that_is_sent_by_get_and_one_without_a_refusal(server):
    form = '<form action="/next?lost=1"><input type="email" name="user"></form>'
    server.metadata_faults.add(redirect(307, f"{BACK}?code=c"), path="/next", times=2)
    server.authorization_faults.add(page(form), times=2)
    assert FormFiller(NAME, PASSWORD).authorize(url(server)).endswith("code=c")
    assert server.requests[-1].query == f"user={NAME}"
    with pytest.raises(LookupError, match="says no"):
        FormFiller(NAME, PASSWORD, deny=True).authorize(url(server))


def test_a_post_stays_one_where_the_redirect_says_so(server):
    form = '<form method="post" action="/moved"><input type="password" name="p"></form>'
    server.authorization_faults.add(page(form))
    server.metadata_faults.add(redirect(307, "/there"), path="/moved")
    server.metadata_faults.add(redirect(302, "/last"), path="/there")
    server.metadata_faults.add(html_page("The end"), path="/last")
    with pytest.raises(RuntimeError, match="without a form"):
        FormFiller(NAME, PASSWORD).authorize(url(server))
    assert [(request.method, request.path) for request in server.requests][-3:] == [
        ("POST", "/moved"),
        ("POST", "/there"),
        ("GET", "/last"),
    ]


def test_what_stands_outside_of_a_form_belongs_to_none():
    html = '<input name="a"><form><input name="b" type="checkbox" checked><textarea></textarea></form>'
    html += '<button name="c">x</button><form method="POST" action="/x"><button type="button">y</button></form>'
    first, second = forms_of(html)
    filled = [form.filled(username="u", password="p", user_code=None, deny=False) for form in (first, second)]
    assert filled == [{"b": "on"}, {}]
    assert [(form.method, form.action) for form in (first, second)] == [("get", ""), ("post", "/x")]


def test_tokens_of_such_a_login_work(server):
    callback = FormFiller(NAME, PASSWORD).authorize(url(server))
    token = redeem(server, told(callback)["code"][0]).json()
    assert call(server, token).json()["sub"] == NAME
