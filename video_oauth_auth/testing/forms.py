"""The forms of an HTML page, read and filled in as a person would."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

TEXT_KINDS = ("text", "email", "tel", "search")
UNSENT_KINDS = ("submit", "button", "image", "reset", "file")
NO_WORDS = ("deny", "cancel", "reject", "abort")


@dataclass(slots=True)
class Field:
    """An input: its name, its kind, and what is in it."""

    name: str
    kind: str
    value: str = field(repr=False)


@dataclass(slots=True)
class Button:
    """A button that submits its form; the text is what stands on it."""

    name: str
    value: str
    text: str = ""

    @property
    def says_no(self) -> bool:
        """Whether it refuses what the form asks for."""
        words = f"{self.name} {self.value} {self.text}".lower()
        return any(word in words for word in NO_WORDS)


@dataclass(slots=True)
class Form:
    """A form: where it goes, how, and what is in it."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)

    @property
    def can_be_denied(self) -> bool:
        """Whether it has a button that says no."""
        return any(button.says_no for button in self.buttons)

    def filled(self, *, username: str, password: str, user_code: str | None, deny: bool) -> dict[str, str]:
        """What is sent when the person has filled it in and pressed a button."""
        sent = {one.name: _typed(one, username=username, password=password, user_code=user_code) for one in self.fields}
        button = next((button for button in self.buttons if button.says_no == deny), None)
        if button and button.name:
            sent[button.name] = button.value
        return sent


def forms_of(page: str) -> list[Form]:
    """The forms of a page in their order."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.forms


def _typed(one: Field, *, username: str, password: str, user_code: str | None) -> str:
    if one.name.endswith("user_code"):  # Keycloak: device_user_code
        return one.value if user_code is None else user_code
    if one.kind in TEXT_KINDS:
        return username
    return password if one.kind == "password" else one.value


class _Reader(HTMLParser):
    """Collects forms; what stands outside of a form belongs to none."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._button: Button | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form and tag == "input":
            self._form.fields += _fields(given)
            self._form.buttons += _buttons(given)
        elif self._form and tag == "button" and given.get("type", "submit") == "submit":
            self._button = Button(given.get("name", ""), given.get("value", ""))
            self._form.buttons.append(self._button)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._button:
            self._button.text += data


def _fields(given: dict[str, str]) -> Iterator[Field]:
    kind = given.get("type", "text").lower()
    is_unchecked = kind in ("checkbox", "radio") and "checked" not in given
    if given.get("name") and kind not in UNSENT_KINDS and not is_unchecked:
        yield Field(given["name"], kind, given.get("value", "on" if kind == "checkbox" else ""))


def _buttons(given: dict[str, str]) -> Iterator[Button]:
    if given.get("type", "").lower() == "submit":
        yield Button(given.get("name", ""), given.get("value", ""))
