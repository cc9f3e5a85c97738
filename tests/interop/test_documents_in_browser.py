"""The documentation in Chromium, as `make docs` has built it: on a screen and on a phone, from this machine alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.shadowroot import ShadowRoot
from selenium.webdriver.support.wait import WebDriverWait

SITE = Path(__file__).parent.parent.parent / "site"
PAGES = sorted(str(path.parent.relative_to(SITE)) for path in SITE.glob("**/index.html"))
WAIT_TIMEOUT = 30.0
WIDTHS = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
EMPTY_IMAGES = "return [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"

SIZES = pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)], ids=["screen", "phone"])
SCHEMES = pytest.mark.parametrize(("scheme", "shown"), [("light", "default"), ("dark", "slate")])


class _Pages(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the parent's parameter
        """Stays silent."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where the site is served."""
    assert PAGES, f"there is no site in {SITE}: run `make interop`, which builds it first, or `make docs`."
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever, name="interop-documents")
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def make_screen(browser: Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def in_search(browser: Chrome) -> ShadowRoot:
    """What the search shows, which keeps to itself."""
    shadow = "return [...document.body.children].find(element => element.shadowRoot).shadowRoot"
    return browser.execute_script(shadow)


def has_followed(browser: Chrome, where: str) -> bool:
    """Whether a result of the search has led there; the results change with every letter that it has read."""
    if browser.current_url.startswith(where):
        return True
    for result in in_search(browser).find_elements(By.CSS_SELECTOR, "[role=option]"):
        if str(result.get_attribute("href")).startswith(where):
            result.click()
            break
    return browser.current_url.startswith(where)


@SIZES
@pytest.mark.timeout(300)  # it opens every page
def test_no_page_scrolls_sideways_or_complains_or_asks_another_host(
    width: int, height: int, browser: Chrome, site: str
) -> None:
    make_screen(browser, width, height)
    wide, foreign, missing = {}, {}, {}
    for page in PAGES:
        browser.get(f"{site}{page}/")
        has, shows = browser.execute_script(WIDTHS)
        if has > shows:
            wide[page] = has
        asked = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        if others := [url for url in asked if not url.startswith((site, "data:"))]:
            foreign[page] = others
        if images := browser.execute_script(EMPTY_IMAGES):
            missing[page] = images
    assert (wide, foreign, missing, browser.get_log("browser")) == ({}, {}, {}, [])


def test_nothing_in_a_page_or_a_style_sheet_names_something_to_load_from_another_host() -> None:
    loaded = re.compile(r"""<(?!a\b)[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>|url\(["']?(?:https?:)?//[^)]*""")
    files = [*SITE.glob("**/*.html"), *SITE.glob("**/*.css")]
    found = {str(file.relative_to(SITE)): loaded.findall(file.read_text()) for file in files}
    assert {name: places for name, places in found.items() if places} == {}


@SIZES
def test_a_heading_that_is_linked_to_is_not_under_the_bar_at_the_top(
    width: int, height: int, browser: Chrome, site: str
) -> None:
    make_screen(browser, width, height)
    for place in ("behaviour/#token-calls", "reference/sources/#video_oauth_auth.TokenSource.set"):
        browser.get(site + place)
        WebDriverWait(browser, WAIT_TIMEOUT).until(lambda _: browser.execute_script("return scrollY > 0"))
        bottom = "return document.querySelector('.md-header').getBoundingClientRect().bottom"
        top = "return document.getElementById(decodeURIComponent(location.hash.slice(1))).getBoundingClientRect().top"
        assert browser.execute_script(bottom) <= browser.execute_script(top) < height / 2


@SIZES
def test_the_search_finds_retry_after_and_leads_there(width: int, height: int, browser: Chrome, site: str) -> None:
    make_screen(browser, width, height)
    browser.get(site)
    # Between two pages chromedriver may answer with any error.
    waiting = WebDriverWait(browser, WAIT_TIMEOUT, ignored_exceptions=[WebDriverException])
    browser.find_element(By.CSS_SELECTOR, "label[for=__search]" if width < 600 else ".md-search__button").click()
    (field,) = waiting.until(lambda _: in_search(browser).find_elements(By.CSS_SELECTOR, "input[role=combobox]"))
    field.send_keys("Retry-After")
    waiting.until(lambda _: has_followed(browser, f"{site}errors/"), "no result leads to the page of errors")
    waiting.until(lambda _: "Retry-After" in browser.find_element(By.TAG_NAME, "article").text)


@SCHEMES
def test_the_colours_follow_the_system(scheme: str, shown: str, browser: Chrome, site: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(site)
    body = browser.find_element(By.TAG_NAME, "body")
    WebDriverWait(browser, WAIT_TIMEOUT).until(lambda _: body.get_attribute("data-md-color-scheme") == shown)
