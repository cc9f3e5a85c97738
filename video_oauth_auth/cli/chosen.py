"""Which auth object a command is about: that of a profile, of a platform's environment, or of `--issuer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..auth import OAuth2Auth
from ..errors import ConfigurationError, InsecureTransportError
from ..generic import generic_keywords
from ..origin import origin_of, written
from ..profile_keys import GENERIC
from ..profile_secrets import Secret
from ..profiles import profile_names, read_profile, store_of
from ..providers.brightcove import BrightcoveAuth
from ..providers.cidaas import CidaasAuth
from ..providers.ibm_video_streaming import IBMVideoStreamingAuth
from ..providers.movingimage import MovingimageAuth
from ..providers.platform import PlatformAuth
from ..source import TokenSource

__all__ = ["PLATFORMS", "Chosen", "from_environment", "from_options", "from_profile", "named", "sends_token_to"]

PLATFORMS: Mapping[str, type[PlatformAuth]] = {
    "brightcove": BrightcoveAuth,
    "movingimage": MovingimageAuth,
    "ibm_video_streaming": IBMVideoStreamingAuth,
    "cidaas": CidaasAuth,
}

Make = Callable[[Mapping[str, Any]], OAuth2Auth]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """An auth object that a person has named; it is made when it is needed.

    Attributes:
        name: how the person named it.
        platform: one of `PLATFORMS`, or `generic`.
        make: makes the auth object, with keyword arguments that win over those that are known.
        look: does the same without reading a secret, for what never asks for a token.
        given: keyword arguments from the command line.
        arguments: what the command line names it by.
        secrets: where its secrets are.
    """

    name: str
    platform: str
    make: Make
    look: Make
    given: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()

    @cached_property
    def auth(self) -> OAuth2Auth:
        """The auth object."""
        return self.make(self.given)

    @property
    def source(self) -> TokenSource:
        """Its source."""
        return source_of(self.auth)

    def with_keywords(self, **keywords: Any) -> OAuth2Auth:
        """Make another auth object for the same."""
        return self.make({**self.given, **keywords})

    def unread_source(self) -> TokenSource:
        """Give a source that knows where its tokens are kept, and cannot ask for any."""
        return source_of(self.look(self.given))

    def check_secrets(self, *, always: bool = False) -> None:
        """Read the secrets, or let the person type them, unless the stored token will do.

        Args:
            always: True to do so in any case.

        Raises:
            ConfigurationError: one cannot be read.
        """
        if self.secrets and (always or self.source.status().state != "fresh"):
            for secret in self.secrets:
                secret.check()


def source_of(auth: OAuth2Auth) -> TokenSource:
    """Give the source of an auth object that was made here."""
    source = auth.source
    assert isinstance(source, TokenSource)  # noqa: S101 - nothing else is made here
    return source


def sends_token_to(auth: OAuth2Auth, url: str) -> bool:
    """Tell whether a request to this URL carries the token."""
    origin = origin_of(url)
    return origin is not None and written(origin) in auth.origins


def named(name: str, user: str) -> Chosen:
    """Give what a name on the command line means: a profile, or else a platform with environment variables.

    Raises:
        ConfigurationError: there is neither, or the profile cannot be used.
    """
    if name in PLATFORMS and name not in profile_names():
        return from_environment(name, user)
    return from_profile(name, user)


def from_profile(name: str, user: str) -> Chosen:
    """Give the auth object of a profile.

    Raises:
        ConfigurationError: there is none of that name, or it cannot be used.
    """
    profile = read_profile(name)
    make = _maker(profile.platform)
    return Chosen(
        name=name,
        platform=profile.platform,
        make=_named_in_errors(name, lambda given: make(profile.keywords(given))),
        look=_named_in_errors(name, lambda given: make(profile.unread_keywords(given))),
        given=_of_user(profile.platform, user),
        arguments=(name, *(("--user", user) if user else ())),
        secrets=tuple(profile.secrets.values()),
    )


def _named_in_errors(name: str, make: Make) -> Make:
    def made(given: Mapping[str, Any]) -> OAuth2Auth:
        try:
            return make(given)
        except (ConfigurationError, InsecureTransportError) as error:
            if not str(error).startswith("the profile "):
                error.args = (f"the profile {name!r}: {error}",)
            raise

    return made


def from_environment(platform: str, user: str) -> Chosen:
    """Give the auth object of a platform's environment variables.

    Raises:
        ConfigurationError: the platform has no users.
    """
    kind = PLATFORMS[platform]

    def make(given: Mapping[str, Any]) -> OAuth2Auth:
        auth: OAuth2Auth = kind.from_env(**{"store": store_of("file"), **given})  # type: ignore[attr-defined]  # all have it
        return auth

    return Chosen(
        name=platform,
        platform=platform,
        make=make,
        look=make,
        given=_of_user(platform, user),
        arguments=(platform, *(("--user", user) if user else ())),
    )


def from_options(keywords: Mapping[str, Any], user: str, arguments: tuple[str, ...]) -> Chosen:
    """Give the auth object of `--issuer` and the options beside it.

    Args:
        keywords: what a profile for `generic` would have.
        user: whose token it is.
        arguments: the options that name it.
    """
    secret = keywords.get("client_secret")

    def make(given: Mapping[str, Any]) -> OAuth2Auth:
        return generic_auth({"store": store_of("file"), **keywords, **given})

    return Chosen(
        name=str(keywords["issuer"]),
        platform=GENERIC,
        make=make,
        look=make,
        given=_of_user(GENERIC, user),
        arguments=(*arguments, *(("--user", user) if user else ())),
        secrets=(secret,) if isinstance(secret, Secret) else (),
    )


def generic_auth(keywords: Mapping[str, Any]) -> OAuth2Auth:
    """Make an auth object for a server that is no platform; raises what `generic_keywords` raises."""
    return OAuth2Auth(**generic_keywords(keywords))


def _maker(platform: str) -> Callable[[dict[str, Any]], OAuth2Auth]:
    if platform == GENERIC:
        return generic_auth
    kind = PLATFORMS[platform]
    return lambda keywords: kind(**keywords)


def _of_user(platform: str, user: str) -> dict[str, str]:
    if not user:
        return {}
    if platform == "brightcove":
        raise ConfigurationError("--user is for people who sign in; nobody does at Brightcove")
    return {"user": user}
