"""The authorization endpoint (RFC 6749 section 4.1, OpenID Connect Core section 3.1.2): where people sign in."""

import re
from collections import Counter
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .answers import Answer, redirect
from .client_authentication import registered_client
from .codes import Codes
from .pages import DECISION, DENY, PASSWORD, USERNAME, WRONG_PASSWORD, message_page, sign_in_form
from .recording import RecordedRequest
from .redirect_uris import is_registered, with_parameters
from .settings import PLAIN, RESPONSE_MODES
from .site import Site
from .tokens import Ledger

TYPED = (USERNAME, PASSWORD, DECISION)
CODE_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.2
Refusal = tuple[str, str]


class AuthorizationEndpoint:
    """Shows a form for name and password, and sends whoever fills it in back to the client with a code.

    What is wrong with the request is found before a form is shown. Where client or redirect URI are wrong, there
    is a page and nobody is sent anywhere (RFC 6749 section 4.1.2.1).
    """

    def __init__(self, site: Site, ledger: Ledger, codes: Codes) -> None:
        self._site = site
        self._ledger = ledger
        self._codes = codes

    def answer(self, request: RecordedRequest) -> Answer:
        """The form, the page that says what is wrong, or the way back."""
        if request.method not in ("GET", "POST"):
            return Answer(405, headers=(("Allow", "GET, POST"),))
        is_form = request.method == "POST"
        text = request.body.decode("utf-8", "replace") if is_form else request.query
        pairs = parse_qsl(text, keep_blank_values=True)
        typed = {name: value for name, value in pairs if is_form and name in TYPED}
        asked = [(name, value) for name, value in pairs if name not in TYPED]
        repeated = {name for name, count in Counter(name for name, _ in asked).items() if count > 1}
        parameters = dict(asked)
        if problem := self._no_way_back(parameters, repeated):
            return message_page(400, "Invalid request", problem)
        self._learn(parameters)
        if refusal := self._refusal(parameters, repeated):
            return self._refused(request, parameters, refusal)
        return self._decided(request, parameters, typed)

    def _decided(self, request: RecordedRequest, parameters: Mapping[str, str], typed: Mapping[str, str]) -> Answer:
        if typed.get(DECISION) == DENY:
            return self._refused(request, parameters, ("access_denied", "The user said no."))
        username = typed.get(USERNAME)
        if username is None:
            return sign_in_form(request.path, hidden=parameters, username=parameters.get("login_hint", ""))
        if not self._site.is_right_password(username, typed.get(PASSWORD, "")):
            return sign_in_form(request.path, hidden=parameters, username=username, problem=WRONG_PASSWORD)
        code = self._codes.issue(parameters, username)
        more = self._ledger.mint.callback_parameters(code.family)
        return self._sent_back(request, parameters, {"code": code.text, **more})

    def _no_way_back(self, parameters: Mapping[str, str], repeated: set[str]) -> str | None:
        """Why nobody can be sent back with an answer to such a request."""
        if {"client_id", "redirect_uri"} & repeated:
            return "client_id or redirect_uri is repeated."
        if registered_client(self._site.settings, parameters.get("client_id")) is None:
            return "client_id is missing or unknown."
        if not is_registered(self._site, parameters.get("redirect_uri", "")):
            return "redirect_uri is missing or not registered."
        return None

    def _refusal(self, parameters: Mapping[str, str], repeated: set[str]) -> Refusal | None:
        """The error that the client is told, if the request is wrong."""
        if repeated:
            return "invalid_request", "A parameter is repeated."
        if "authorization_code" not in self._site.settings.grant_types:
            return "unauthorized_client", "No client may use authorization codes."
        response_type = parameters.get("response_type")
        if response_type is None:
            return "invalid_request", "response_type is missing."
        if response_type != "code":
            return "unsupported_response_type", "response_type is not code."
        if parameters.get("response_mode", "query") not in RESPONSE_MODES:
            return "invalid_request", "response_mode is neither query nor fragment."
        return self._refusal_for_challenge(parameters) or _refusal_for_prompt(parameters)

    def _refusal_for_challenge(self, parameters: Mapping[str, str]) -> Refusal | None:
        settings = self._site.settings
        challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
        if challenge is None:
            is_wrong = settings.pkce_required or method is not None
            return ("invalid_request", "code_challenge is missing.") if is_wrong else None
        if not CODE_CHALLENGE.fullmatch(challenge):
            return "invalid_request", "code_challenge is not 43 to 128 unreserved characters."
        if (method or PLAIN) not in settings.code_challenge_methods:
            return "invalid_request", "code_challenge_method is not supported."
        return None

    def _refused(self, request: RecordedRequest, parameters: Mapping[str, str], refusal: Refusal) -> Answer:
        error, description = refusal
        more = {"error_description": description} if self._site.dialect.tells_error_descriptions else {}
        return self._sent_back(request, parameters, {"error": error, **more})

    def _sent_back(self, request: RecordedRequest, asked: Mapping[str, str], answer: Mapping[str, str]) -> Answer:
        settings = self._site.settings
        told = dict(answer)
        if "state" in asked:
            told["state"] = asked["state"]
        if settings.authorization_response_iss_parameter_supported:
            told["iss"] = self._site.issuer
        in_fragment = settings.always_fragment or asked.get("response_mode") == "fragment"
        uri = with_parameters(asked["redirect_uri"], told, in_fragment=in_fragment)
        return redirect(303 if request.method == "POST" else 302, uri)

    def _learn(self, parameters: Mapping[str, str]) -> None:
        """Remember what the client made; with `plain`, the challenge is the verifier."""
        self._ledger.learn({name: parameters.get(name) for name in ("state", "nonce")})
        if parameters.get("code_challenge_method", PLAIN) == PLAIN:
            self._ledger.learn({"code_verifier": parameters.get("code_challenge")})


def _refusal_for_prompt(parameters: Mapping[str, str]) -> Refusal | None:
    """OpenID Connect Core section 3.1.2.6; nobody is signed in here before they sign in."""
    prompts = parameters.get("prompt", "").split()
    if "none" not in prompts:
        return None
    if len(prompts) > 1:
        return "invalid_request", "prompt is none and something else."
    return "login_required", "Nobody is signed in."
