"""The pytest plugin: servers as fixtures, and a guard that fails tests whose token calls leave loopback."""

import socket
import threading

import httpx
import pytest

from video_oauth_auth.testing.loopback import LeavesLoopbackError, is_loopback, loopback_only

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of a user that has the plugin and asks for tokens."""
    pytester.makeconftest('pytest_plugins = ["video_oauth_auth.testing.plugin"]')
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    pytester.makepyfile(
        calls="""
        import requests

        from video_oauth_auth import AuthorizationServer, ClientCredentials, OAuthClient, OAuthError, TokenSource


        def token_from(url, library="httpx", client=OAuthClient("id", "secret")):
            session = requests.Session() if library == "requests" else None
            server = AuthorizationServer(token_endpoint=url)
            return TokenSource(server, client, ClientCredentials(), http_client=session, token_timeout=10).get_token()


        def swallow(url, library="httpx"):
            try:
                token_from(url, library)
            except OAuthError:
                pass
        """
    )
    return pytester


def test_the_fixtures_are_running_servers(project):
    project.makepyfile(
        """
        import requests


        def test_own(oauth_server):
            form = {"client_id": oauth_server.client_id, "client_secret": oauth_server.client_secret}
            form["grant_type"] = "client_credentials"
            token = requests.post(oauth_server.token_endpoint, data=form, timeout=5).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(oauth_server.api_url + "/me", headers=headers, timeout=5).ok
            assert len(oauth_server.token_calls) == 1


        def test_a_fresh_one_for_each_test(oauth_server):
            assert oauth_server.requests == ()


        def test_brightcove(brightcove_server):
            answer = requests.get(brightcove_server.api_url + "/v1/accounts/1/videos", timeout=5)
            assert answer.json()[0]["error_code"] == "UNAUTHORIZED"
        """
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=3)


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize("url", ["https://oauth.example.com/token", "https://203.0.113.7/token"])
def test_a_token_call_that_leaves_loopback_fails_the_test_even_if_its_error_is_swallowed(project, library, url):
    project.makepyfile(
        f"""
        from calls import swallow


        def test_it():
            swallow("{url}", library="{library}")
        """
    )
    result = project.runpytest_subprocess("-q")
    result.assert_outcomes(passed=1, errors=1)
    host = url.split("/")[2]
    result.stdout.fnmatch_lines([f"*token calls tried to leave loopback: {host} (token call to {host})*"])


def test_the_call_itself_gets_an_error_that_names_the_host(project):
    project.makepyfile(
        """
        import pytest
        from calls import token_from
        from video_oauth_auth import TransportError


        def test_it():
            with pytest.raises(TransportError, match="oauth.example.com, which is not loopback"):
                token_from("https://oauth.example.com/token")
        """
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=1, errors=1)


def test_token_calls_to_loopback_and_mocked_ones_are_not_disturbed(project):
    project.makepyfile(
        """
        import pytest
        import requests_mock
        import respx
        from calls import OAuthClient, token_from

        URL = "https://oauth.example.com/token"
        ANSWER = {"access_token": "mocked", "token_type": "Bearer", "expires_in": 300}


        @pytest.mark.parametrize("library", ["requests", "httpx"])
        @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
        def test_loopback(oauth_server, library, host):
            url = oauth_server.token_endpoint.replace("127.0.0.1", host)
            client = OAuthClient(oauth_server.client_id, oauth_server.client_secret)
            assert token_from(url, library, client).access_token in oauth_server.secrets()


        def test_respx():
            with respx.mock:
                respx.post(URL).respond(json=ANSWER)
                assert token_from(URL).access_token == "mocked"


        def test_requests_mock():
            with requests_mock.Mocker() as mock:
                mock.post(URL, json=ANSWER)
                assert token_from(URL, "requests").access_token == "mocked"
        """
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=6)


def test_a_marked_test_may_leave_loopback(project):
    """The name lies in `.invalid` (RFC 2606): it is asked for, and never resolves."""
    project.makepyfile(
        """
        import pytest
        from calls import swallow


        @pytest.mark.real_token_calls
        def test_it():
            swallow("https://oauth.invalid/token")
        """
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=1)


def test_what_is_no_token_call_is_left_alone(project):
    project.makepyfile(
        """
        import socket


        def test_it():
            connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            connection.connect(("203.0.113.7", 9))  # UDP: nothing is sent
            connection.close()
        """
    )
    project.runpytest_subprocess("-q").assert_outcomes(passed=1)


# The guard itself


class Request:
    url = "https://oauth.example.com/token?secret=1"


@pytest.mark.parametrize("how", ["getaddrinfo", "connect", "connect_ex"])
def test_only_the_thread_of_the_watched_function_is_guarded(how):
    def reach(_request: object = None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            if how == "getaddrinfo":
                socket.getaddrinfo("203.0.113.7", 9)
            else:
                getattr(connection, how)(("203.0.113.7", 9))

    def reach_from_another_thread(_request: object) -> None:
        other = threading.Thread(target=reach)
        other.start()
        other.join(10)

    with loopback_only() as guard:
        reach()
        guard.watch(reach_from_another_thread)(Request())
        assert guard.attempts == []
        with pytest.raises(LeavesLoopbackError, match=r"203\.0\.113\.7") as caught:
            guard.watch(reach)(Request())
        reach()
    assert guard.attempts == ["203.0.113.7 (token call to oauth.example.com)"]
    assert "secret" not in str(caught.value)
    reach()


def test_the_patches_are_gone_after_the_block():
    before = (socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex)
    with loopback_only():
        assert socket.getaddrinfo is not before[0]
    assert (socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex) == before


def test_httpx_gets_an_error_of_name_resolution():
    with loopback_only() as guard:
        get = guard.watch(lambda request: httpx.get(request.url))
        with pytest.raises(httpx.ConnectError, match=r"oauth\.example\.com"):
            get(Request())


HERE = [None, "", "localhost", "LOCALHOST.", "a.localhost", b"localhost", "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0"]
ELSEWHERE = ["example.com", "localhost.example.com", "notlocalhost", b"example.com", "10.0.0.1", "fe80::1%eth0"]


@pytest.mark.parametrize("host", [*HERE, "::ffff:127.0.0.1"])
def test_what_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", [*ELSEWHERE, "::ffff:10.0.0.1", "128.0.0.1", "2130706433"])
def test_what_is_not_loopback(host):
    assert not is_loopback(host)
