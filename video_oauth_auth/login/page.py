"""The pages that a browser shows when it comes back from a sign-in: fixed texts, nothing of the answer in them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from http import HTTPStatus

__all__ = [
    "BAD_REQUEST",
    "FRAGMENT",
    "METHOD_NOT_ALLOWED",
    "NOT_FOUND",
    "NOT_SIGNED_IN",
    "NOT_THE_ANSWER",
    "SIGNED_IN",
    "TOO_LARGE",
    "Page",
]

_STYLE = """
:root { color-scheme: light dark; --ground: #f3f4f6; --card: #fff; --edge: #d9dde3; --text: #1c2128; --soft: #57606a;
  --yes: #1a7f37; --no: #9a6700 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101317; --card: #1b2026; --edge: #343b44; --text: #e8ebee; --soft: #a3acb6;
    --yes: #4cc368; --no: #dfa83a }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; place-items: center; padding: 1.25rem;
  background: var(--ground); color: var(--text); font: 1.0625rem/1.55 system-ui, sans-serif }
main { width: 100%; max-width: 27rem; padding: 2.25rem 2rem 2rem; text-align: center;
  background: var(--card); border: 1px solid var(--edge); border-radius: .875rem }
main::before { display: block; width: 3rem; height: 3rem; margin: 0 auto 1.125rem; border-radius: 50%;
  border: 2px solid; font-size: 1.5rem; font-weight: 600; line-height: 2.75rem }
.yes::before { content: "\\2713"; content: "\\2713" / ""; color: var(--yes) }
.no::before { content: "!"; content: "!" / ""; color: var(--no) }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; line-height: 1.3; text-wrap: balance }
p { margin: 0; color: var(--soft); text-wrap: balance }
"""

# A server that was asked for response_mode=fragment, or answers so, leaves its answer where only a script sees it.
_SCRIPT = """
if (location.hash.includes("=")) {
  document.documentElement.hidden = true;
  location.replace("?" + location.hash.slice(1));
}
"""

_HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<style>{style}</style>{script}
</head>
<body>
<main class="{mark}">
<h1>{heading}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, and with which status it is sent.

    Attributes:
        status: the HTTP status.
        heading: what happened.
        text: what to do next.
        mark: `yes` or `no`.
        script: a script that the page runs, or an empty text.
    """

    status: HTTPStatus
    heading: str
    text: str
    mark: str = "no"
    script: str = ""

    @property
    def html(self) -> str:
        script = f"\n<script>{self.script}</script>" if self.script else ""
        return _HTML.format(heading=self.heading, text=self.text, mark=self.mark, style=_STYLE, script=script)

    @property
    def content_security_policy(self) -> str:
        """Allow the page its own style and script, known by their digests, and nothing else."""
        scripts = f" script-src {_source(self.script)};" if self.script else ""
        return (
            f"default-src 'none'; style-src {_source(_STYLE)};{scripts} "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def response(self, *, with_body: bool = True) -> bytes:
        """Give the whole HTTP response."""
        body = self.html.encode()
        head = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "Cache-Control: no-store",
            f"Content-Security-Policy: {self.content_security_policy}",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            *(["Allow: GET"] if self.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        ]
        return "\r\n".join([*head, "", ""]).encode() + (body if with_body else b"")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


SIGNED_IN = Page(
    status=HTTPStatus.OK,
    heading="Your sign-in has arrived",
    text="You can close this window and go back to the program.",
    mark="yes",
)
NOT_SIGNED_IN = Page(
    status=HTTPStatus.OK,
    heading="The sign-in was not completed",
    text="The program tells you why. You can close this window.",
)
NOT_THE_ANSWER = Page(
    status=HTTPStatus.BAD_REQUEST,
    heading="The sign-in is still waiting",
    text="This is not the answer to the sign-in that is waiting. Finish it in the window that the program opened last, "
    "or start it again.",
)
FRAGMENT = Page(
    status=HTTPStatus.OK,
    heading=NOT_THE_ANSWER.heading,
    text=NOT_THE_ANSWER.text,
    script=_SCRIPT,
)


TOO_LARGE = Page(
    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    heading="The answer is too long",
    text="The program takes no answer to a sign-in that is as long as this one.",
)


def _refusal(status: HTTPStatus) -> Page:
    return Page(
        status=status,
        heading="There is nothing to see here",
        text="This address only takes the answer to a sign-in. You can close this window.",
    )


BAD_REQUEST = _refusal(HTTPStatus.BAD_REQUEST)
NOT_FOUND = _refusal(HTTPStatus.NOT_FOUND)
METHOD_NOT_ALLOWED = _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
