"""The page where a person types the code that a device shows (RFC 8628 section 3.3)."""

from .answers import Answer
from .devices import Devices
from .pages import DECISION, DENY, PASSWORD, USERNAME, WRONG_PASSWORD, message_page, sign_in_form
from .recording import RecordedRequest
from .routes import query_of
from .site import Site

USER_CODE = "user_code"
WRONG_CODE = "There is no such code, or it has expired, or it was used."


class VerificationPage:
    """Asks for the code, name and password, and lets the person approve or deny the device."""

    def __init__(self, site: Site, devices: Devices) -> None:
        self._site = site
        self._devices = devices

    def answer(self, request: RecordedRequest) -> Answer:
        """The form, again where something typed is wrong; then what was decided."""
        if request.method == "GET":
            return sign_in_form(request.path, hidden={}, user_code=query_of(request).get(USER_CODE, ""))
        if request.method != "POST":
            return Answer(405, headers=(("Allow", "GET, POST"),))
        typed = request.form
        username, user_code = typed.get(USERNAME, ""), typed.get(USER_CODE, "")
        is_denied = typed.get(DECISION) == DENY
        problem = ""
        if not is_denied and not self._site.is_right_password(username, typed.get(PASSWORD, "")):
            problem = WRONG_PASSWORD
        elif not self._devices.decide(user_code, None if is_denied else username):
            problem = WRONG_CODE
        if problem:
            return sign_in_form(request.path, hidden={}, username=username, user_code=user_code, problem=problem)
        told = "The device gets no access." if is_denied else "The device is signed in; you can close this page."
        return message_page(200, "Device", told)
