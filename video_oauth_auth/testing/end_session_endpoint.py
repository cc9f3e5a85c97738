"""The end session endpoint (OpenID Connect RP-Initiated Logout 1.0): where people sign out."""

from collections.abc import Mapping
from typing import Any

from .answers import Answer, redirect
from .pages import message_page
from .recording import RecordedRequest
from .redirect_uris import is_registered, with_parameters
from .routes import query_of
from .site import Site
from .tokens import Ledger


class EndSessionEndpoint:
    """Ends the session that an ID token names: no token that stems from it is accepted any more.

    Without `id_token_hint` there is nothing that could say whose session is meant: nothing is ended.
    """

    def __init__(self, site: Site, ledger: Ledger) -> None:
        self._site = site
        self._ledger = ledger

    def answer(self, request: RecordedRequest) -> Answer:
        """The way back to the client if the hint is valid and the URI registered; else a page."""
        if request.method not in ("GET", "POST"):
            return Answer(405, headers=(("Allow", "GET, POST"),))
        asked = query_of(request) if request.method == "GET" else request.form
        self._ledger.learn({"state": asked.get("state")})
        hint = asked.get("id_token_hint")
        if hint is None:
            return _signed_out()
        claims = self._claims(hint)
        if claims is None or asked.get("client_id") not in (None, claims["aud"]):
            return message_page(400, "Not signed out", "id_token_hint is no ID token of this client and this server.")
        self._ledger.end_session(claims["sid"])
        return self._sent_back(request, asked)

    def _claims(self, hint: str) -> dict[str, Any] | None:
        """What the ID token says; it may have expired. None if it is not from here."""
        claims = self._site.key.claims_of(hint)
        return claims if claims and claims.get("iss") == self._site.issuer and "sid" in claims else None

    def _sent_back(self, request: RecordedRequest, asked: Mapping[str, str]) -> Answer:
        uri = asked.get("post_logout_redirect_uri")
        if uri is None or not is_registered(self._site, uri):
            return _signed_out()
        told = {"state": asked["state"]} if "state" in asked else {}
        return redirect(303 if request.method == "POST" else 302, with_parameters(uri, told))


def _signed_out() -> Answer:
    return message_page(200, "Signed out", "You are signed out.")
