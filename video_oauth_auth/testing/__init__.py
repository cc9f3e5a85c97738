"""An authorization server with a protected API on loopback, for tests of programs that use OAuth 2.0.

`OAuthServer` issues and checks real tokens, misbehaves as told, and records what it received. The pytest
plugin is `video_oauth_auth.testing.plugin`, and `StoreContract` the tests that every token store passes;
importing this package does not import pytest.
"""

import sys
from typing import TYPE_CHECKING, Any

from .answers import (
    Answer,
    form_encoded,
    gzip_bomb,
    html_page,
    json_answer,
    oversized,
    rate_limited,
    redirect,
    text_answer,
    too_many_requests,
    unavailable,
)
from .brightcove import BrightcoveServer
from .browser import FormFiller
from .challenges import CHALLENGES
from .cidaas import CidaasServer
from .faults import Delay, Drip, Drop, Fault, FaultPlan, Hold, Mutate, with_members, without
from .ibm_video_streaming import IBMVideoStreamingServer
from .movingimage import MovingimageServer
from .oauth_server import OAuthServer
from .recording import RecordedRequest
from .server import LoopbackServer
from .storage import Upload

if TYPE_CHECKING:
    from .store_contract import StoreContract as StoreContract

__all__ = [
    "CHALLENGES",
    "Answer",
    "BrightcoveServer",
    "CidaasServer",
    "Delay",
    "Drip",
    "Drop",
    "Fault",
    "FaultPlan",
    "FormFiller",
    "Hold",
    "IBMVideoStreamingServer",
    "LoopbackServer",
    "MovingimageServer",
    "Mutate",
    "OAuthServer",
    "RecordedRequest",
    "Upload",
    "form_encoded",
    "gzip_bomb",
    "html_page",
    "json_answer",
    "oversized",
    "rate_limited",
    "redirect",
    "text_answer",
    "too_many_requests",
    "unavailable",
    "with_members",
    "without",
]


def __getattr__(name: str) -> Any:
    if name != "StoreContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    if f"{__name__}.store_contract" not in sys.modules:
        pytest.register_assert_rewrite(f"{__name__}.store_contract")  # so that a failure shows what was compared
    from .store_contract import StoreContract

    return StoreContract
