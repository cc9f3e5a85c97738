"""The pages of the web application: plain HTML. Whatever comes from elsewhere is escaped."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: the answer to the sign-out form leads to the authorization server.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/style.css">
<header>{person}</header>
<main>
<h1>{title}</h1>
{body}
</main>
"""
PERSON = '<span>{name}</span><form method="post" action="/sign-out"><button>Sign out</button></form>'
WELCOME = """\
<p>Sign in with your movingimage account to see the VideoManagers that you may use.</p>
<p><a class="button" href="/sign-in">Sign in</a></p>"""
ROW = "<li><span>{name}</span><small>{id}</small></li>"
NONE = "<p>There is none that you may use.</p>"
STYLE = """\
:root { color-scheme: light dark; --ground: #f3f4f6; --card: #fff; --edge: #d9dde3; --text: #1c2128; --soft: #57606a;
  --accent: #0b5cad; --on-accent: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101317; --card: #1b2026; --edge: #343b44; --text: #e8ebee; --soft: #a3acb6;
    --accent: #6cb0f5; --on-accent: #101317 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 44rem; padding: 1rem; background: var(--ground); color: var(--text);
  font: 1.0625rem/1.55 system-ui, sans-serif }
header { display: flex; justify-content: flex-end; align-items: center; gap: .75rem; min-height: 2.75rem;
  margin-bottom: .75rem; color: var(--soft) }
header span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
main { padding: 2rem; background: var(--card); border: 1px solid var(--edge); border-radius: .875rem }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.3; text-wrap: balance }
p { margin: 0 0 1rem; overflow-wrap: anywhere }
p:last-child { margin: 0 }
ul { margin: 0; padding: 0; list-style: none }
li { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; padding: .75rem 0;
  border-top: 1px solid var(--edge) }
li:last-child { padding-bottom: 0 }
li span { overflow-wrap: anywhere }
li small { flex: none; color: var(--soft) }
.button, button { display: inline-block; padding: .5rem 1.25rem; border: 1px solid var(--accent); border-radius: .5rem;
  background: var(--accent); color: var(--on-accent); font: inherit; text-decoration: none; cursor: pointer }
header button { padding: .3rem .9rem; background: none; border-color: var(--edge); color: var(--text) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
@media (max-width: 30rem) { main { padding: 1.5rem 1.25rem } }
"""


async def style(_: Request) -> Response:
    """The style sheet."""
    return Response(STYLE, media_type="text/css")


def page(title: str, body: str, *, name: str = "", status: int = 200) -> Response:
    """Make a page.

    Args:
        title: its heading.
        body: what stands below it, as HTML.
        name: who has signed in.
        status: the HTTP status.
    """
    person = PERSON.format(name=escape(name)) if name else ""
    return HTMLResponse(PAGE.format(title=escape(title), person=person, body=body), status, HEADERS)


def listed(video_managers: Iterable[Mapping[str, Any]]) -> str:
    """Make a list of VideoManagers."""
    rows = [
        ROW.format(name=escape(str(one.get("name") or "")), id=escape(str(one.get("id")))) for one in video_managers
    ]
    return "\n".join(["<ul>", *rows, "</ul>"]) if rows else NONE


def problem(text: str, *, status: int = 400) -> Response:
    """Make a page that says what went wrong."""
    body = f'<p>{escape(text)}</p>\n<p><a class="button" href="/">Go on</a></p>'
    return page("That did not work", body, status=status)
