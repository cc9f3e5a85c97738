"""The HTML pages that people see: forms without a script, and what they are told."""

from collections.abc import Mapping
from html import escape

from .answers import Answer

USERNAME, PASSWORD, DECISION, DENY = "username", "password", "decision", "deny"
WRONG_PASSWORD = "The name or the password is wrong."  # noqa: S105 - a message
HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)


def page(status: int, title: str, content: str) -> Answer:
    """A page with this title and content, which is HTML."""
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n'
    return Answer(status, headers=HEADERS, body=f"{head}<body>\n<h1>{escape(title)}</h1>\n{content}\n</body></html>\n")


def message_page(status: int, title: str, message: str) -> Answer:
    """A page that tells one thing."""
    return page(status, title, f"<p>{escape(message)}</p>")


def sign_in_form(
    path: str, *, hidden: Mapping[str, str], username: str = "", user_code: str | None = None, problem: str = ""
) -> Answer:
    """A form for name and password, with a button for yes and one for no.

    Args:
        path: Where the form goes.
        hidden: What it carries.
        username: The name that is filled in already.
        user_code: What is filled in for the code that a device shows; None: it is not asked for.
        problem: Why the form is shown again.
    """
    fields = [f'<input type="hidden" name="{escape(name)}" value="{escape(hidden[name])}">' for name in hidden]
    if user_code is not None:
        fields.append(_field("Code on the device", "user_code", "text", user_code))
    fields.append(_field("Name", USERNAME, "text", username))
    fields.append(_field("Password", PASSWORD, "password", ""))
    fields.append(f'<button type="submit" name="{DECISION}" value="allow">Sign in</button>')
    fields.append(f'<button type="submit" name="{DECISION}" value="{DENY}">Deny</button>')
    told = f'<p role="alert">{escape(problem)}</p>\n' if problem else ""
    form = "\n".join((f'<form method="post" action="{escape(path)}">', *fields, "</form>"))
    return page(200, "Sign in", told + form)


def _field(label: str, name: str, kind: str, value: str) -> str:
    return f'<label>{label} <input type="{kind}" name="{name}" value="{escape(value)}"></label>'
