"""Origins: a token goes to exactly the listed scheme, host and port, whatever a URL looks like."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from video_oauth_auth.origin import Origins, origin_of

HOST = "api.example.com"
LISTED = Origins([f"https://{HOST}", "https://uploads.example.com:8443", "https://[2001:db8::1]"])


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/v1/videos?limit=1#part",
        "https://api.example.com?limit=1",
        "https://api.example.com#part",
        "https://api.example.com:443/v1",
        "HTTPS://API.EXAMPLE.COM/v1",
        "https://api.example.com//evil.example/",
        "https://api.example.com/@evil.example/",
        "https://api.example.com/?next=https://evil.example",
        "https://uploads.example.com:8443/x",
        "https://[2001:db8::1]/x",
        "https://[2001:db8::1]:443/x",
    ],
)
def test_a_url_of_a_listed_origin_is_held(url):
    assert LISTED.holds(url)
    assert is_held_by_httpx(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "http://api.example.com:443/",
        "https://api.example.com:444/",
        "https://api.example.com:0/",
        "https://api.example.com:8443/",
        "https://uploads.example.com/",
        "https://uploads.example.com:84430/",
        "https://example.com/",
        "https://x.api.example.com/",
        "https://api.example.com.evil.example/",
        "https://api.example.com.",
        "https://api.example.com./",
        "https://api.example.comx/",
        "https://evilapi.example.com/",
        "https://evil.example/api.example.com/",
        "https://evil.example/https://api.example.com/",
        "https://evil.example?https://api.example.com/",
        "https://evil.example#@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://api.example.com:443@evil.example/",
        "https://api.example.com%2f@evil.example/",
        "https://api.example.com%00.evil.example/",
        "https://api.example.com%2eevil.example/",
        "https://api.example.com\\.evil.example/",
        "https://api.example.com\\@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https:\\\\api.example.com/",
        "https:/api.example.com/",
        "https:api.example.com/",
        "//api.example.com/",
        "api.example.com/",
        "wss://api.example.com/",
        "ftp://api.example.com/",
        "file://api.example.com/",
        "javascript://api.example.com/",
        "https:///api.example.com/",
        "https://",
        "https://:443/",
        "https://api.example.com:99999/",
        "https://api.example.com:port/",
        "https://api.example.com:-443/",
        "https://[2001:db8::2]/",
        "https://[2001:db8::1/",
        "https://2001:db8::1/",
        "https://[2001:db8::1%25eth0]/",
        "https://\u0430pi.example.com/",  # a Cyrillic letter
        "https://api。example。com.evil.example/",
        "http\u017f://api.example.com/",  # a long s, which is an S in capitals
        "",
        "\x00",
    ],
)
def test_a_hostile_url_is_not_held(url):
    assert not LISTED.holds(url)
    assert not is_held_by_httpx(url) or httpx.URL(url).host == "api.example.com"  # where httpx itself connects to


def is_held_by_httpx(url: str) -> bool:
    """Tell what an httpx client that was given this URL would be told."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return LISTED.holds_parts(parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port)


# --- as the libraries read a URL ----------------------------------------------------------------------------------


def seen_by_requests(url: str) -> str | None:
    try:
        return requests.Request("GET", url).prepare().url
    except (ValueError, requests.RequestException):
        return None


def target_in_urllib3(url: str) -> tuple[str, str, int] | None:
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return None
    if parsed.scheme is None or parsed.host is None:
        return None
    return parsed.scheme, parsed.host.strip("[]"), parsed.port or {"http": 80, "https": 443}.get(parsed.scheme, 0)


def target_in_httpx(module: Any, url: str) -> tuple[str, str, int] | None:
    try:
        parsed = module.URL(url)
    except (module.InvalidURL, ValueError):
        return None
    host = parsed.raw_host.decode("ascii")
    return parsed.scheme, host, parsed.port or {"http": 80, "https": 443}.get(parsed.scheme, 0)


MEMBERS = {("https", HOST, 443), ("https", "uploads.example.com", 8443), ("https", "2001:db8::1", 443)}
PIECES = [
    "https://",
    "http://",
    "//",
    "https:",
    "\\",
    "/",
    "@",
    ":",
    "?",
    "#",
    "%2f",
    "%40",
    ".",
    ":443",
    ":8443",
    ":0",
]
PIECES += [
    HOST,
    HOST.upper(),
    "uploads.example.com",
    "evil.example",
    "[2001:db8::1]",
    "user:pw",
    "\t",
    "\n",
    " ",
    "\x00",
]
PIECES += [":0", "。", "é", "ß", "xn--", "\u200b", "%", "[", "]", "*", "1", "localhost", "\x00"]
urls: Any = st.lists(st.sampled_from(PIECES), max_size=7).map("".join) | st.text(max_size=30)
urls |= st.tuples(st.sampled_from(["https://", f"https://{HOST}", f"https://{HOST}/"]), urls).map("".join)


@given(urls)
@example(f"https://{HOST}:0/")
@example(f"https://user:pw@{HOST}/")
@example(f"https://{HOST}\\@evil.example/")
@example(f"\thttps://{HOST}/")
def test_no_request_of_requests_is_held_whose_authority_is_another(url):
    prepared = seen_by_requests(url)
    if prepared is not None and LISTED.holds(prepared):
        assert target_in_urllib3(prepared) in MEMBERS
        assert (urlsplit(prepared).hostname or "") in {host for _, host, _ in MEMBERS}


@pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
@given(url=urls)
@example(url=f"https://user:pw@{HOST}/")
@example(url=f"https://{HOST}\\@evil.example/")
def test_no_request_of_httpx_is_held_whose_authority_is_another(module, url):
    target = target_in_httpx(module, url)
    if target is None:
        return
    parsed = module.URL(url)
    held = LISTED.holds_parts(parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port)
    assert not held or target in MEMBERS
    assert not held or LISTED.holds(str(parsed))  # an answer is judged by the text of its URL


@given(urls)
@example(f"https://evil.example\\@{HOST}/")
@example(f"https://{HOST}\\@evil.example/")
@example(f"https://evil.example\\.{HOST}/")
def test_no_url_is_held_that_some_library_takes_for_another_authority(url):
    """`headers(url)` is asked about the text as the user has it; nobody knows which library will read it then."""
    if LISTED.holds(url):
        targets = {target_in_urllib3(url), target_in_httpx(httpx, url), target_in_httpx(httpx2, url)} - {None}
        assert targets <= MEMBERS


@given(urls)
@example(f"https://{HOST}\x00/")
def test_any_text_is_held_or_not_without_an_error(url):
    assert LISTED.holds(url) in (True, False)
    assert origin_of(url) is None or len(origin_of(url) or ()) == 3
