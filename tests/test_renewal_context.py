"""Where a renewal runs: in the context of its caller, and never inside itself."""

import asyncio
import contextvars
import logging

import httpx
import httpx2
import pytest
import requests

import video_oauth_auth
from video_oauth_auth import ConfigurationError, OAuth2Auth, OAuthError, ResponseError
from video_oauth_auth.events import RenewalFailed

from .engine import source_of
from .faulty_store import FaultyStore

TENANT = contextvars.ContextVar("TENANT", default="nobody")


def test_the_renewal_sees_the_context_of_the_caller_who_started_it(oauth_server):
    seen = []

    def secret():
        seen.append(TENANT.get())
        return oauth_server.client_secret

    def sync_caller():
        TENANT.set("sync")
        source_of(oauth_server, secret=secret).get_token()

    async def async_caller():
        TENANT.set("async")
        await source_of(oauth_server, secret=secret).aget_token()

    contextvars.copy_context().run(sync_caller)
    asyncio.run(async_caller())
    assert seen == ["sync", "async"]
    assert TENANT.get() == "nobody"


def test_a_secret_callable_that_asks_the_same_source_gets_an_error_at_once(oauth_server):
    seen = []

    def secret():
        try:
            source.get_token()
        except OAuthError as error:
            seen.append(error)
        return oauth_server.client_secret

    source = source_of(oauth_server, secret=secret)
    assert source.get_token()
    assert {type(error) for error in seen} == {ConfigurationError}
    assert "its own token" in str(seen[0])


def test_what_a_secret_callable_fails_with_by_asking_the_same_source_reaches_the_caller(oauth_server):
    source = source_of(oauth_server, secret=lambda: source.get_token().access_token)
    with pytest.raises(ConfigurationError, match="client_secret"):
        source.get_token()
    assert not oauth_server.token_calls


def test_a_log_handler_that_asks_the_same_source_gets_an_error_at_once(oauth_server):
    seen = []

    class Shipper(logging.Handler):
        """Sends what is logged to an API, with the very token that is being renewed."""

        def emit(self, record):
            try:
                source.get_token()
            except OAuthError as error:
                seen.append(error)

    store = FaultyStore()
    store.fail("load", OSError("gone"))
    source = source_of(oauth_server, store=store)
    logger, handler = logging.getLogger(video_oauth_auth.__name__), Shipper()
    logger.addHandler(handler)
    try:
        assert source.get_token()
    finally:
        logger.removeHandler(handler)
    assert {type(error) for error in seen} == {ConfigurationError}


def test_on_event_can_use_the_new_token(oauth_server):
    seen = []

    def on_event(event):
        seen.append((source.peek(), source.get_token(), source.status().state))

    source = source_of(oauth_server, on_event=on_event)
    token = source.get_token()
    assert seen == [(token, token, "fresh")]


def test_on_event_that_fails_harms_nobody(oauth_server, caplog):
    def on_event(event):
        raise RuntimeError(event)

    source = source_of(oauth_server, on_event=on_event)
    assert source.get_token()
    assert "on_event failed with RuntimeError" in caplog.text


def test_on_event_that_asks_for_a_token_after_a_failure_gets_an_error_at_once(oauth_server):
    seen = []

    def on_event(event):
        try:
            source.get_token()
        except OAuthError as error:
            seen.append((type(event), type(error)))

    source = source_of(oauth_server, secret="wrong", on_event=on_event)
    with pytest.raises(ResponseError):
        source.get_token()
    assert seen == [(RenewalFailed, ConfigurationError)]


@pytest.mark.parametrize("make", [requests.Session, httpx.Client, httpx2.Client], ids=["requests", "httpx", "httpx2"])
def test_a_session_whose_auth_is_this_very_object_can_make_its_token_calls(oauth_server, make):
    with make() as session:
        auth = OAuth2Auth(source_of(oauth_server, http_client=session), origins=[oauth_server.api_url])
        session.auth = auth
        assert session.get(f"{oauth_server.api_url}/me").status_code == 200
        oauth_server.revoke_access_tokens()
        assert session.get(f"{oauth_server.api_url}/me").status_code == 200
    assert len(oauth_server.token_calls) == 2
    assert all(call.header("Authorization").startswith("Basic ") for call in oauth_server.token_calls)
