"""From ports and paths to what answers there, and how each of them may misbehave."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import get_args

from .answers import Answer
from .api import Api
from .authorization_endpoint import AuthorizationEndpoint
from .codes import Codes
from .devices import Devices
from .end_session_endpoint import EndSessionEndpoint
from .exchange import Endpoint
from .faults import FaultPlan
from .metadata import public_document
from .recording import RecordedRequest, Role
from .site import Site
from .storage import Storage
from .token_endpoint import TokenEndpoint
from .tokens import Ledger
from .verification_page import VerificationPage

Documents = Mapping[tuple[str, str], Callable[[Site, RecordedRequest], Answer]]


class Wiring:
    """The endpoints of one server.

    Args:
        documents: Public documents besides the metadata: by port and path, what makes the answer.

    Attributes:
        plans: The plan of faults for each role.
        apis: The protected APIs by their roles.
    """

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        *,
        storage: Storage,
        apis: Mapping[Role, Api],
        documents: Documents,
        notify: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        self.plans: dict[Role, FaultPlan] = {
            role: FaultPlan(notify=notify, stopping=stopping) for role in get_args(Role)
        }
        self.apis = apis
        self._site = site
        self._learn = ledger.learn
        codes, devices = Codes(ledger), Devices(ledger)
        tokens = TokenEndpoint(site, ledger, codes=codes, devices=devices)
        authorization = AuthorizationEndpoint(site, ledger, codes)
        self._metadata = self._endpoint("metadata", partial(public_document, site))
        self._protected = {role: self._protecting(role) for role in self.apis}
        self._ports: dict[str, Endpoint] = {
            "storage": self._endpoint("storage", storage.answer),
            "foreign": self._endpoint("foreign", lambda _: site.settings.foreign_answer),
            **{f"{role}": endpoint for role, endpoint in self._protected.items()},
        }
        self._documents = {
            place: self._endpoint("metadata", partial(answer, site)) for place, answer in documents.items()
        }
        named = {
            "authorization_endpoint": self._endpoint("authorization", authorization.answer),
            "end_session_endpoint": self._endpoint("authorization", EndSessionEndpoint(site, ledger).answer),
            "device_authorization_endpoint": self._endpoint("device", tokens.device_authorization),
            "token_endpoint": self._endpoint("token", tokens.answer),
            "revocation_endpoint": self._endpoint("revocation", tokens.revocation),
            "userinfo_endpoint": self._protected["api"],
            "jwks_uri": self._metadata,
        }
        endpoints = site.dialect.endpoints
        self._at_issuer = {endpoints[name]: endpoint for name, endpoint in named.items() if name in endpoints}
        if "device_authorization_endpoint" in endpoints:
            page = self._endpoint("authorization", VerificationPage(site, devices).answer)
            self._at_issuer[site.dialect.verification_path] = page

    def behind(self, port: str, path: str) -> Endpoint:
        """What answers requests to this path at this port."""
        if document := self._documents.get((port, path)):
            return document
        if port == "token":
            return self._at_issuer.get(path) or self._elsewhere_at_issuer(path)
        return self._ports[port]

    def _elsewhere_at_issuer(self, path: str) -> Endpoint:
        dialect = self._site.dialect
        is_api = dialect.api_at_issuer and "/.well-known/" not in path and path not in dialect.endpoints.values()
        return self._protected["api"] if is_api else self._metadata

    def _endpoint(self, role: Role, answer: Callable[[RecordedRequest], Answer]) -> Endpoint:
        return Endpoint(role=role, answer=answer, faults=self.plans[role], learn=self._learn)

    def _protecting(self, role: Role) -> Endpoint:
        api = self.apis[role]
        return Endpoint(role=role, answer=api.answer, faults=self.plans[role], token_state=api.token_state)
