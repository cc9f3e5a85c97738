"""What may stand in a profile: the keys of each platform, and what each has to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from .errors import ConfigurationError, InvalidResponseError, cleaned
from .profile_secrets import WAYS
from .server import AuthorizationServer

__all__ = ["CLASSES", "GENERIC", "REQUIRED", "SECRETS", "check_members", "nearest"]

GENERIC = "generic"
CLASSES = {
    "brightcove": "BrightcoveAuth",
    "movingimage": "MovingimageAuth",
    "ibm_video_streaming": "IBMVideoStreamingAuth",
    "cidaas": "CidaasAuth",
    GENERIC: "OAuth2Auth",
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "brightcove": ("client_id", "client_secret"),
    "movingimage": (),
    "ibm_video_streaming": ("client_id",),
    "cidaas": ("issuer", "client_id"),
    GENERIC: ("client_id",),
}
SECRETS = dict.fromkeys(CLASSES, ("client_secret",)) | {"movingimage": ("client_secret", "password")}

_TEXT, _NUMBER, _TEXTS, _TABLE, _SERVER = (
    "a text",
    "a number",
    "a list of texts",
    "a table of texts",
    "a table with the metadata of a server",
)
_EVERYWHERE = {
    "platform": _TEXT,
    "client_id": _TEXT,
    "scope": _TEXT,
    "token_endpoint_auth_method": _TEXT,
    "origins": _TEXTS,
    "server": _SERVER,
    "store": _TEXT,
    "store_env": _TEXT,
    "renew_ahead": _NUMBER,
    "token_timeout": _NUMBER,
}
_PEOPLE = {"user": _TEXT, "redirect_uri": _TEXT}
_KEYS: dict[str, dict[str, str]] = {
    "brightcove": _EVERYWHERE,
    "movingimage": {**_EVERYWHERE, **_PEOPLE, "username": _TEXT, "api_url": _TEXT, "refresh_extra": _TABLE},
    "ibm_video_streaming": {**_EVERYWHERE, **_PEOPLE, "token_type": _TEXT},
    "cidaas": {**_EVERYWHERE, **_PEOPLE, "issuer": _TEXT},
    GENERIC: {
        **_EVERYWHERE,
        **_PEOPLE,
        "issuer": _TEXT,
        "token_endpoint": _TEXT,
        "audience": _TEXT,
        "resource": _TEXTS,
    },
}
_ONLY_IN_CODE = ("insecure_origins", "http_client", "on_event", "token")


def check_members(table: Mapping[str, Any], platform: str) -> None:
    """Check what stands in a profile.

    Raises:
        ConfigurationError: a key is not known, a value is of the wrong kind, or a secret stands there.
    """
    keys = _KEYS[platform] | {f"{name}_{way}": kind for name in SECRETS[platform] for way, kind in WAYS.items()}
    for key, value in table.items():
        if key in SECRETS[platform]:
            raise ConfigurationError(_refusal(key))
        if key in _ONLY_IN_CODE:
            raise ConfigurationError(f"{key} can only be given in code: from_profile(..., {key}=...)")
        if key not in keys:
            raise ConfigurationError(f"{cleaned(key)} is not known here{nearest(key, keys)}")
        _check_kind(key, value, keys[key])
    if "@" in table.get("store", "") or "password=" in table.get("store", ""):
        raise ConfigurationError(
            'store holds a password. Put the URL into an environment variable, and give its name: store_env = "NAME"'
        )
    if "store" in table and "store_env" in table:
        raise ConfigurationError("store and store_env are both there: keep one")


def nearest(name: str, known: Collection[str]) -> str:
    """Give the end of a message with the known name that is most like this one, if any is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _refusal(key: str) -> str:
    return (
        f"a secret does not belong into a profile file. Take {key} out, and say where it is: "
        f'{key}_env = "NAME" (an environment variable), {key}_file = "path" (a file that only you can read), '
        f"{key}_keyring = true (keyring set video-oauth-auth profile:<name>), or {key}_prompt = true (you type it)"
    )


def _check_kind(key: str, value: Any, kind: str) -> None:
    if kind == _SERVER and isinstance(value, dict):
        try:
            AuthorizationServer.from_metadata(value)
        except (InvalidResponseError, ConfigurationError) as error:
            failure = str(error)
        else:
            return
        raise ConfigurationError(f"{key}: {failure}")
    fits = {
        _TEXT: isinstance(value, str) and bool(value.strip()),
        _NUMBER: isinstance(value, int | float) and not isinstance(value, bool),
        _TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in value),
        _TABLE: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        _SERVER: False,
        WAYS["prompt"]: value is True,
    }
    if not fits[kind]:
        raise ConfigurationError(f"{key} has to be {kind}")
