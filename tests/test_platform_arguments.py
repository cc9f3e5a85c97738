"""How movingimage, IBM Video Streaming and cidaas take their arguments: grants, contradictions, environment."""

import os
from typing import Any

import pytest

from video_oauth_auth import (
    CidaasAuth,
    ClientCredentials,
    ConfigurationError,
    IBMVideoStreamingAuth,
    InsecureTransportError,
    LoginRequired,
    MovingimageAuth,
    ResourceOwnerPassword,
)
from video_oauth_auth.testing import OAuthServer

SECRET = "an-invented-secret"
ANN = {"username": "ann", "password": "an-invented-secret"}
TENANT = "https://tenant.cidaas.de"
REDIRECT = {"redirect_uri": "https://app.example.com/cb"}

SERVERS = {
    MovingimageAuth: lambda: OAuthServer.movingimage(client_id="id", client_secret=SECRET, users={"ann": SECRET}),
    IBMVideoStreamingAuth: lambda: OAuthServer.ibm_video_streaming(client_id="id", client_secret=SECRET),
    CidaasAuth: lambda: OAuthServer.cidaas(client_id="id", client_secret=SECRET, users={"ann": SECRET}),
}
CLASSES = {
    "movingimage": lambda **keywords: MovingimageAuth(**ANN | keywords),
    "ibm": lambda **keywords: IBMVideoStreamingAuth("id", SECRET, **keywords),
    "cidaas": lambda **keywords: CidaasAuth(TENANT, "id", SECRET, **keywords),
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in os.environ:
        if name.startswith(("MOVINGIMAGE_", "IBM_VIDEO_STREAMING_", "CIDAAS_", "TEAM_")):
            monkeypatch.delenv(name)


# --- which grant ----------------------------------------------------------------------------------------------------

PASSWORD_GRANT = ResourceOwnerPassword("ann", SECRET, scope="openid")
GRANTS = [
    (MovingimageAuth, (), ANN, "password"),
    (MovingimageAuth, ("id", SECRET), ANN, "password"),
    (MovingimageAuth, ("id", SECRET), {"grant": PASSWORD_GRANT}, "password"),
    (MovingimageAuth, ("id", SECRET), {"grant": ClientCredentials()}, "client_credentials"),
    (MovingimageAuth, (), {}, "sign-in"),
    (MovingimageAuth, ("id",), {}, "sign-in"),
    (MovingimageAuth, ("id", SECRET), {}, "sign-in"),
    (MovingimageAuth, ("id", SECRET), REDIRECT, "sign-in"),
    (IBMVideoStreamingAuth, ("id", SECRET), {}, "client_credentials"),
    (IBMVideoStreamingAuth, ("id", lambda: SECRET), {}, "client_credentials"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"token_type": "jwt"}, "client_credentials"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"scope": "broadcaster"}, "client_credentials"),
    (IBMVideoStreamingAuth, ("id", SECRET), REDIRECT, "sign-in"),
    (IBMVideoStreamingAuth, ("id",), {}, "sign-in"),
    (IBMVideoStreamingAuth, ("id",), REDIRECT, "sign-in"),
    (IBMVideoStreamingAuth, ("id",), {"token_type": "jwt"}, "sign-in"),
    (CidaasAuth, ("id", SECRET), {}, "client_credentials"),
    (CidaasAuth, ("id", lambda: SECRET), {"scope": "offline_access"}, "client_credentials"),
    (CidaasAuth, ("id", SECRET), {"grant": PASSWORD_GRANT}, "password"),
    (CidaasAuth, ("id", SECRET), REDIRECT, "sign-in"),
    (CidaasAuth, ("id",), {}, "sign-in"),
    (CidaasAuth, ("id",), REDIRECT, "sign-in"),
]


@pytest.mark.parametrize(("platform", "arguments", "keywords", "grant"), GRANTS)
def test_which_grant_follows_from_the_arguments(platform, arguments, keywords, grant):
    with SERVERS[platform]() as server:
        server.grant_types = ("password", "refresh_token", "client_credentials")
        more = {"server": server.authorization_server, "token_timeout": 10.0}
        auth = platform(*((TENANT,) if platform is CidaasAuth else ()), *arguments, **keywords, **more)
        if grant == "sign-in":
            with pytest.raises(LoginRequired) as caught:
                auth.source.get_token()
            assert caught.value.reason == "never_signed_in"
        else:
            auth.source.get_token()
        assert [call.form["grant_type"] for call in server.token_calls] == ([] if grant == "sign-in" else [grant])


@pytest.mark.parametrize(
    ("platform", "arguments", "keywords", "scope"),
    [
        (MovingimageAuth, (), ANN, "openid"),
        (MovingimageAuth, (), {**ANN, "scope": "openid offline_access"}, "openid offline_access"),
        (IBMVideoStreamingAuth, ("id", SECRET), {}, None),
        (IBMVideoStreamingAuth, ("id", SECRET), {"scope": "broadcaster openid"}, "broadcaster openid"),
        (CidaasAuth, (TENANT, "id", SECRET), {}, None),
        (CidaasAuth, (TENANT, "id", SECRET), {"scope": "offline_access"}, "offline_access"),
    ],
)
def test_the_scope_that_is_asked_for(platform, arguments, keywords, scope):
    with SERVERS[platform]() as server:
        platform(*arguments, **keywords, server=server.authorization_server, token_timeout=10.0).source.get_token()
        assert server.token_calls[0].form.get("scope") == scope


# --- contradictions -------------------------------------------------------------------------------------------------

CONTRADICTIONS = [
    (MovingimageAuth, (), {"username": "ann"}, "password"),
    (MovingimageAuth, (), {"password": SECRET}, "username"),
    (MovingimageAuth, ("id", SECRET), {**ANN, **REDIRECT}, "redirect_uri"),
    (MovingimageAuth, (), REDIRECT, "anonymous"),
    (MovingimageAuth, ("anonymous", SECRET), {}, "anonymous"),
    (MovingimageAuth, (), {"client_secret": SECRET, **ANN}, "anonymous"),
    (MovingimageAuth, ("id", SECRET), {**ANN, "grant": ClientCredentials()}, "username"),
    (MovingimageAuth, ("id", SECRET), {"scope": "openid", "grant": ClientCredentials()}, "scope"),
    (MovingimageAuth, ("id", SECRET), {"refresh_extra": {}, "grant": ClientCredentials()}, "refresh_extra"),
    (MovingimageAuth, ("id", SECRET), {"refresh_extra": {"refresh_token": "x"}}, "refresh_token"),
    (MovingimageAuth, ("id", SECRET), {"refresh_extra": {"n": 1}}, "n"),
    (MovingimageAuth, ("id",), {"token_endpoint_auth_method": "client_secret_post"}, "no secret"),
    (MovingimageAuth, ("id", SECRET), {"token_endpoint_auth_method": "none"}, "secret"),
    (MovingimageAuth, (), {**ANN, "api_url": "api.example.com"}, "api_url"),
    (MovingimageAuth, (), {**ANN, "api_url": "https://user:pw@api.example.com/v1/"}, "api_url"),
    (MovingimageAuth, (), {**ANN, "api_url": 7}, "api_url"),
    (MovingimageAuth, ("",), ANN, "client_id"),
    (IBMVideoStreamingAuth, ("",), {}, "client_id"),
    (IBMVideoStreamingAuth, ("id", ""), {}, "client_secret"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"token_type": "mac"}, "Analytics"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"token_type": "jwt", "grant": ClientCredentials()}, "token_type"),
    (IBMVideoStreamingAuth, ("id", SECRET), {**REDIRECT, "grant": ClientCredentials()}, "redirect_uri"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"scope": "x", "grant": ClientCredentials()}, "scope"),
    (IBMVideoStreamingAuth, ("id",), {"token_endpoint_auth_method": "raw_secret_basic"}, "no secret"),
    (IBMVideoStreamingAuth, ("id", SECRET), {"token_endpoint_auth_method": "basic"}, "raw_secret_basic"),
    (CidaasAuth, (TENANT, ""), {}, "client_id"),
    (CidaasAuth, (7, "id", SECRET), {}, "issuer"),
    (CidaasAuth, ("tenant.cidaas.de", "id", SECRET), {}, "issuer"),
    (CidaasAuth, (f"{TENANT}?x=1", "id", SECRET), {}, "issuer"),
    (CidaasAuth, (f"{TENANT}/.well-known/openid-configuration", "id", SECRET), {}, "issuer"),
    (CidaasAuth, (TENANT, "id", SECRET), {**REDIRECT, "grant": ClientCredentials()}, "redirect_uri"),
    (CidaasAuth, (TENANT, "id", SECRET), {"scope": "x", "grant": ClientCredentials()}, "scope"),
    (CidaasAuth, (TENANT, "id", SECRET), {"grant": ClientCredentials}, "grant"),
    (CidaasAuth, (TENANT, "id", SECRET), {"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt"),
]


@pytest.mark.parametrize(("platform", "arguments", "keywords", "named"), CONTRADICTIONS)
def test_contradictions_are_told_when_the_object_is_made(platform, arguments, keywords, named):
    with pytest.raises(ConfigurationError, match=named) as caught:
        platform(*arguments, **keywords)
    assert SECRET not in repr(caught.value)
    assert "user:pw" not in repr(caught.value)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("wrong", ["tokne", "credentials", "timeout", "verify", "client_secrets"])
def test_an_unknown_keyword_is_a_type_error_that_names_it(name, wrong):
    with pytest.raises(TypeError, match=f"'{wrong}'"):
        CLASSES[name](**{wrong: 1})


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "keywords", [{"origins": []}, {"origins": "https://a.example"}, {"renew_ahead": -1}, {"token": 7}]
)
def test_settings_that_cannot_work_are_told_at_once(name, keywords):
    with pytest.raises(ConfigurationError, match=next(iter(keywords))):
        CLASSES[name](**keywords)


# --- where the token goes -------------------------------------------------------------------------------------------

OWN = {
    "movingimage": "https://api.video-cdn.net/v1/vms",
    "ibm": "https://api.video.ibm.com/users/self/channels.json",
    "cidaas": "https://tenant.cidaas.de/users-srv/userinfo",
}


@pytest.mark.parametrize("name", OWN)
def test_given_origins_replace_the_platforms_own(name):
    token = {"Authorization": "Bearer an-invented-token"}
    auth = CLASSES[name](token="an-invented-token")
    assert auth.headers(OWN[name]) == token
    assert auth.headers("https://proxy.example.com/") == {}
    auth = CLASSES[name](token="an-invented-token", origins=["https://proxy.example.com"])
    assert auth.headers("https://proxy.example.com/v1") == token
    assert auth.headers(OWN[name]) == {}
    auth = CLASSES[name](token="an-invented-token", insecure_origins=["http://proxy.example.com"])
    assert auth.headers("http://proxy.example.com/v1") == auth.headers(OWN[name]) == token
    with pytest.raises(InsecureTransportError):
        CLASSES[name](origins=["http://proxy.example.com"])


@pytest.mark.parametrize("path", ["", "/", "/v1/", "/v1/vms"])
def test_movingimages_token_is_for_the_customers_own_domain(path):
    auth = MovingimageAuth(**ANN, api_url=f"https://video.example.com{path}", token="at")
    assert auth.headers("https://video.example.com/v1/vms") == {"Authorization": "Bearer at"}
    assert auth.headers(OWN["movingimage"]) == {}


@pytest.mark.parametrize(
    "make", [lambda url: MovingimageAuth(**ANN, api_url=url), lambda url: CidaasAuth(url, "id", "s")]
)
def test_a_place_without_tls_is_refused(make):
    with pytest.raises(InsecureTransportError):
        make("http://video.example.com")


# --- the environment ------------------------------------------------------------------------------------------------

MISSING = [
    (MovingimageAuth, {}, {"USERNAME", "PASSWORD", "PASSWORD_FILE"}),
    (MovingimageAuth, {"USERNAME": "ann"}, {"PASSWORD", "PASSWORD_FILE"}),
    (MovingimageAuth, {"PASSWORD": SECRET, "USERNAME": " "}, {"USERNAME"}),
    (MovingimageAuth, {"CLIENT_ID": "id"}, {"CLIENT_SECRET", "CLIENT_SECRET_FILE", "REDIRECT_URI"}),
    (MovingimageAuth, {"CLIENT_ID": "id", "CLIENT_SECRET": SECRET}, {"REDIRECT_URI"}),
    (IBMVideoStreamingAuth, {}, {"CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE"}),
    (IBMVideoStreamingAuth, {"CLIENT_SECRET": SECRET}, {"CLIENT_ID"}),
    (IBMVideoStreamingAuth, {"REDIRECT_URI": "app://cb"}, {"CLIENT_ID"}),
    (CidaasAuth, {}, {"ISSUER", "CLIENT_ID", "CLIENT_SECRET", "CLIENT_SECRET_FILE"}),
    (CidaasAuth, {"ISSUER": TENANT, "CLIENT_SECRET": SECRET}, {"CLIENT_ID"}),
]
PREFIXES = {MovingimageAuth: "MOVINGIMAGE_", IBMVideoStreamingAuth: "IBM_VIDEO_STREAMING_", CidaasAuth: "CIDAAS_"}


@pytest.mark.parametrize("prefix", [None, "TEAM_"])
@pytest.mark.parametrize(("platform", "given", "missing"), MISSING)
def test_everything_that_is_missing_is_named_in_one_error(monkeypatch, platform, given, missing, prefix):
    begin = prefix or PREFIXES[platform]
    for name, value in given.items():
        monkeypatch.setenv(begin + name, value)
    with pytest.raises(ConfigurationError) as caught:
        platform.from_env(*([prefix] if prefix else []))
    told = str(caught.value).replace(",", " ").replace("(", " ").replace(")", " ").split()
    assert {word for word in told if word.startswith(begin)} == {begin + name for name in missing}
    assert SECRET not in repr(caught.value)


AT_A_SERVER = [
    (MovingimageAuth, {"USERNAME": "ann"}, "PASSWORD", "password"),
    (MovingimageAuth, {"USERNAME": "ann", "PASSWORD": SECRET, "CLIENT_ID": "id"}, "CLIENT_SECRET", "password"),
    (IBMVideoStreamingAuth, {"CLIENT_ID": "id"}, "CLIENT_SECRET", "client_credentials"),
    (CidaasAuth, {"CLIENT_ID": " id\n"}, "CLIENT_SECRET", "client_credentials"),
]


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(("platform", "given", "secret", "grant"), AT_A_SERVER)
def test_from_env_makes_a_working_object(monkeypatch, tmp_path, platform, given, secret, grant, in_file):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    given = given | ({f"{secret}_FILE": f"{tmp_path / 'secret'}"} if in_file else {secret: SECRET})
    with SERVERS[platform]() as server:
        more: dict[str, Any] = {"server": server.authorization_server} if platform is IBMVideoStreamingAuth else {}
        for name, value in (given | {"API_URL": f"{server.api_url}/v1/", "ISSUER": server.url}).items():
            monkeypatch.setenv(PREFIXES[platform] + name, value)
        auth = platform.from_env(**more, token_timeout=10.0)
        assert isinstance(auth, platform)
        auth.source.get_token()
        assert [(call.form["grant_type"], call.status) for call in server.token_calls] == [(grant, 200)]


@pytest.mark.parametrize("platform", [IBMVideoStreamingAuth, CidaasAuth])
def test_with_a_redirect_uri_there_may_be_no_secret(monkeypatch, platform):
    for name, value in {"ISSUER": TENANT, "CLIENT_ID": "id", "REDIRECT_URI": "https://app.example.com/cb"}.items():
        monkeypatch.setenv(PREFIXES[platform] + name, value)
    with pytest.raises(LoginRequired):
        platform.from_env().source.get_token()


@pytest.mark.parametrize(("platform", "given", "secret", "grant"), AT_A_SERVER)
def test_a_secret_and_its_file_together_are_refused(monkeypatch, tmp_path, platform, given, secret, grant):
    for name, value in (given | {secret: SECRET, f"{secret}_FILE": f"{tmp_path / 'x'}", "ISSUER": TENANT}).items():
        monkeypatch.setenv(PREFIXES[platform] + name, value)
    with pytest.raises(ConfigurationError, match=f"{secret}_FILE") as caught:
        platform.from_env()
    assert SECRET not in repr(caught.value)


def test_a_keyword_wins_over_the_environment(monkeypatch):
    for name, value in {"USERNAME": "ann", "PASSWORD": SECRET, "API_URL": "https://env.example.com/v1/"}.items():
        monkeypatch.setenv(f"MOVINGIMAGE_{name}", value)
    auth = MovingimageAuth.from_env(api_url="https://code.example.com/v1/", token="at")
    assert auth.headers("https://code.example.com/v1/vms") == {"Authorization": "Bearer at"}
    for name, value in {"CLIENT_ID": "id", "CLIENT_SECRET": SECRET, "REDIRECT_URI": "https://env.example.com"}.items():
        monkeypatch.setenv(f"IBM_VIDEO_STREAMING_{name}", value)
    with SERVERS[IBMVideoStreamingAuth]() as server:
        IBMVideoStreamingAuth.from_env(redirect_uri=None, server=server.authorization_server).source.get_token()
        assert server.token_calls[0].form["grant_type"] == "client_credentials"


def test_from_env_knows_analytics(monkeypatch):
    monkeypatch.setenv("IBM_VIDEO_STREAMING_CLIENT_ID", "id")
    monkeypatch.setenv("IBM_VIDEO_STREAMING_CLIENT_SECRET", SECRET)
    auth = IBMVideoStreamingAuth.from_env(token_type="jwt", token="at")
    assert auth.headers("https://analytics-api.video.ibm.com/v1") == {"Authorization": "at"}
