"""Drop-in auth= objects for requests, httpx and httpx2 that always have a token the server accepts."""

from .auth import OAuth2Auth
from .client import OAuthClient
from .discovery import discover
from .errors import (
    ConfigurationError,
    InsecureTransportError,
    InvalidResponseError,
    LoginRequired,
    OAuthError,
    ResponseError,
    StoreError,
    TransportError,
)
from .grants import ClientCredentials, Grant, ResourceOwnerPassword
from .providers.brightcove import BrightcoveAuth
from .reporting import Status
from .server import AuthorizationServer
from .source import TokenProvider, TokenSource
from .stores import MemoryStore, StoreKey, TokenStore
from .token import Token

__all__ = [
    "AuthorizationServer",
    "BrightcoveAuth",
    "ClientCredentials",
    "ConfigurationError",
    "Grant",
    "InsecureTransportError",
    "InvalidResponseError",
    "LoginRequired",
    "MemoryStore",
    "OAuth2Auth",
    "OAuthClient",
    "OAuthError",
    "ResourceOwnerPassword",
    "ResponseError",
    "Status",
    "StoreError",
    "StoreKey",
    "Token",
    "TokenProvider",
    "TokenSource",
    "TokenStore",
    "TransportError",
    "discover",
]
