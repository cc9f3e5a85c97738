"""Nothing is sent whose answer could not be read any more: it might spend a refresh token or a code."""

import pytest

from video_oauth_auth import OAuthClient, TransportError
from video_oauth_auth.testing import Mutate, json_answer

from . import engine, sign_ins
from .engine import refresh_token_works, refreshing
from .sign_ins import auth_of, begun, codes_sent, people_server, sign_in

clock, server = engine.clock, sign_ins.server

# A tenth of the time, and a second at most, has to be left. Each is most of a second away from that, and the end.
LEFT = [(100.0, 0.9, False), (100.0, 5.0, True), (9.0, 0.8, False), (2.0, 0.95, True)]


@pytest.mark.parametrize(("seconds", "left", "is_sent"), LEFT)
def test_a_client_secret_that_comes_late_spends_no_refresh_token(oauth_server, clock, seconds, left, is_sent):
    def secret():
        if late:
            clock.advance(seconds - left)
        return oauth_server.client_secret

    late = True
    source = refreshing(oauth_server, secret=secret, token_timeout=seconds)
    before = source.known()
    if is_sent:
        assert source.get_token() != before
        return
    with pytest.raises(
        TransportError, match=r"no time was left for token_endpoint after .*; nothing was sent"
    ) as caught:
        source.get_token()
    assert caught.value.sent is False
    assert oauth_server.token_calls == ()
    late = False
    clock.advance(60)  # past any pause between renewals
    assert source.get_token() != before
    assert refresh_token_works(oauth_server, source.peek())
    assert oauth_server.reuse_detected == 0


def test_metadata_that_come_late_spend_no_refresh_token(clock):
    with people_server(expires_in=60) as server:
        server.metadata_faults.add(json_answer(200, _metadata(server), (("Cache-Control", "max-age=60"),)))
        auth = auth_of(server, metadata=server.issuer, token_timeout=20.0)
        sign_in(auth)
        source, calls = auth.for_user("ann").source, len(server.token_calls)
        clock.advance(61)
        server.metadata_faults.add(Mutate(lambda members: (clock.advance(19.5), members)[1]))
        with pytest.raises(TransportError) as caught:
            source.get_token()
        assert caught.value.sent is False
        assert len(server.token_calls) == calls
        clock.advance(60)
        source.get_token()
        assert server.reuse_detected == 0


def test_a_client_secret_that_comes_late_spends_no_code(server, clock):
    late = True

    def secret():
        if late:
            clock.advance(19.5)
        return server.client_secret

    auth = auth_of(server, client=OAuthClient(server.client_id, secret), token_timeout=20.0)
    pending, back = begun(auth)
    with pytest.raises(TransportError) as caught:
        auth.complete_login(pending, back)
    assert caught.value.sent is False
    assert codes_sent(server) == []
    late = False
    assert auth.complete_login(pending, back).claims["sub"] == "ann"


def _metadata(server):
    return {
        "issuer": server.issuer,
        "token_endpoint": server.token_endpoint,
        "authorization_endpoint": server.authorization_server.authorization_endpoint,
        "jwks_uri": server.authorization_server.jwks_uri,
    }
