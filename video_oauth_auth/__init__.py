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
from .grants import AuthorizationCode, ClientCredentials, DeviceCode, Grant, ResourceOwnerPassword
from .login.authorization import AuthorizationRequest
from .organisations import Organisations
from .provided import TokenProvider
from .providers.brightcove import BrightcoveAuth
from .providers.cidaas import CidaasAuth
from .providers.ibm_video_streaming import IBMVideoStreamingAuth
from .providers.movingimage import MovingimageAuth
from .reporting import Status
from .server import AuthorizationServer
from .source import TokenSource
from .stores import MemoryStore, StoreKey, TokenStore
from .token import Token

__all__ = [
    "AuthorizationCode",
    "AuthorizationRequest",
    "AuthorizationServer",
    "BrightcoveAuth",
    "CidaasAuth",
    "ClientCredentials",
    "ConfigurationError",
    "DeviceCode",
    "Grant",
    "IBMVideoStreamingAuth",
    "InsecureTransportError",
    "InvalidResponseError",
    "LoginRequired",
    "MemoryStore",
    "MovingimageAuth",
    "OAuth2Auth",
    "OAuthClient",
    "OAuthError",
    "Organisations",
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
