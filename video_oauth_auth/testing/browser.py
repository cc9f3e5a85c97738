"""A person with a browser, played by a small HTTP client that fills in forms.

It is made of the standard library: mocks of HTTP libraries do not get in its way, and nothing of it is logged.
"""

import threading
import time
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPErrorProcessor, ProxyHandler, Request, build_opener

from .forms import Form, forms_of

MOST_FORMS = 5
MOST_REDIRECTS = 20
MOST_TEXT = 1024 * 1024  # bytes
TIMEOUT = 30.0  # seconds
REDIRECTS, SAME_METHOD = (301, 302, 303, 307, 308), (307, 308)
FRAGMENT_READER = "location.hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """What came for a URL: status and text. Its `repr` shows no more than the status."""

    status: int
    url: str = field(repr=False)
    text: str = field(repr=False)
    location: str | None = field(default=None, repr=False)


class FormFiller:
    """Signs in where a URL leads: types name and password into the forms it finds, and presses the button.

    For plain HTML forms, as the bundled server, Keycloak and the development pages of oidc-provider have them:
    every text field gets the name, every password field the password, up to five forms in a row. No script runs.
    Each opened URL has cookies of its own. Proxies from the environment are not used.

    Args:
        username: What is typed into text fields.
        password: What is typed into password fields.
        deny: Press the button that says no, on the first page that has one.
    """

    def __init__(self, username: str, password: str, *, deny: bool = False) -> None:
        self._username = username
        self._password = password
        self._deny = deny
        self._threads: list[threading.Thread] = []
        self._errors: list[Exception] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._username}>"

    def authorize(self, url: str) -> str:
        """Sign in at an authorization URL, and give the URL that the browser would be sent back to.

        That URL is not requested; a fragment is part of it.

        Args:
            url: With a parameter `redirect_uri`.

        Raises:
            ValueError: It has none.
            RuntimeError: The pages did not lead back there: say, the password is wrong.
            LookupError: No page had a button that says no, and `deny` is set.
            OSError: A page did not come.
        """
        redirect_uri = parse_qs(urlsplit(url).query).get("redirect_uri", [""])[0]
        if not redirect_uri:
            raise ValueError("the URL has no redirect_uri: it is no authorization URL")
        end = self._fill_in(url, back_to=redirect_uri)
        if end.location is None:
            raise RuntimeError(f"a page without a form (status {end.status}) instead of the way back to the client")
        return end.location

    def open(self, url: str) -> WebPage:
        """Sign in at an authorization URL, and request the URL that the browser is sent back to.

        A browser does not send a fragment. If that page reads it (`location.hash` stands in it), the same URL is
        requested with the fragment as its query: what such a page's script would do.

        Args and errors as for `authorize`.

        Returns:
            The last page.
        """
        back, _, fragment = self.authorize(url).partition("#")
        tab = _Tab()
        page = tab.request(back)
        if fragment and FRAGMENT_READER in page.text:
            return tab.request(f"{back.partition('?')[0]}?{fragment}")
        return page

    def open_in_background(self, url: str) -> bool:
        """Do what `open` does on a thread: something to give to a program in place of `webbrowser.open`.

        Returns:
            True, at once.
        """
        thread = threading.Thread(target=self._open_and_keep_the_error, args=(url,), name="form-filler", daemon=True)
        self._threads.append(thread)
        thread.start()
        return True

    def join(self, timeout: float = TIMEOUT) -> None:
        """Wait until everything that was opened in the background is done.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: It is not.
            Exception: The first error of a thread; each is raised once.
        """
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"the browser was not done after {timeout} s")
        self._threads.clear()
        if self._errors:
            raise self._errors.pop(0)

    def approve_device(self, verification_uri: str, user_code: str) -> WebPage:
        """Type the code that a device shows, and sign in there (RFC 8628 section 3.3); with `deny`, refuse it.

        Args:
            verification_uri: As the device shows it; `verification_uri_complete` will do as well.
            user_code: Likewise.

        Raises:
            RuntimeError: The pages came to no end: say, the code or the password is wrong.
            LookupError: No page had a button that says no, and `deny` is set.
            OSError: A page did not come.

        Returns:
            The last page, which has no form.
        """
        end = self._fill_in(verification_uri, user_code=user_code)
        if end.status != 200:
            raise RuntimeError(f"a page with status {end.status} and without a form")
        return end

    def _open_and_keep_the_error(self, url: str) -> None:
        try:
            self.open(url)
        except Exception as error:  # noqa: BLE001 - raised again by join()
            self._errors.append(error)

    def _fill_in(self, url: str, *, back_to: str | None = None, user_code: str | None = None) -> WebPage:
        """Where the forms lead to: a page without one, or the redirect to this URI."""
        tab = _Tab()
        page = tab.request(url, back_to=back_to)
        has_denied = False
        for _ in range(MOST_FORMS):
            form = _next_form(page)
            if form is None:
                break
            deny = self._deny and form.can_be_denied
            sent = form.filled(username=self._username, password=self._password, user_code=user_code, deny=deny)
            has_denied = has_denied or deny
            page = tab.submit(page, form, sent, back_to=back_to)
        if _next_form(page):
            raise RuntimeError(f"still a form after {MOST_FORMS} of them: are name and password right?")
        if self._deny and not has_denied:
            raise LookupError("no page had a button that says no")
        return page


def _next_form(page: WebPage) -> Form | None:
    forms = [] if page.location else forms_of(page.text)
    return forms[0] if forms else None


class _Answers(HTTPErrorProcessor):
    """Every answer is one, also a redirect or an error."""

    def http_response(self, _request: Request, response: object) -> object:
        return response

    https_response = http_response  # type: ignore[assignment]  # as urllib's documentation says


class _Tab:
    """Requests pages, and follows redirects up to the one that leads back to the client."""

    def __init__(self) -> None:
        # Browsers take loopback for secure.
        cookies = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(cookies), _Answers())

    def request(self, url: str, form: str | None = None, *, back_to: str | None = None) -> WebPage:
        """The page at the end of the redirects; the last of these if it leads to `back_to`."""
        for _ in range(MOST_REDIRECTS):
            page = self._exchange(url, form)
            if page.location is None or (back_to is not None and _place(page.location) == _place(back_to)):
                return page
            url, form = page.location, form if page.status in SAME_METHOD else None
        raise RuntimeError(f"more than {MOST_REDIRECTS} redirects in a row")

    def submit(self, page: WebPage, form: Form, sent: dict[str, str], *, back_to: str | None) -> WebPage:
        """The page after this form of that page."""
        action = urljoin(page.url, form.action)
        if form.method == "post":
            return self.request(action, urlencode(sent), back_to=back_to)
        return self.request(urlsplit(action)._replace(query=urlencode(sent)).geturl(), back_to=back_to)

    def _exchange(self, url: str, form: str | None) -> WebPage:
        if urlsplit(url).scheme not in ("http", "https"):
            raise RuntimeError(f"sent to a URL that is not http: {urlsplit(url).scheme}")
        request = Request(url, data=None if form is None else form.encode(), headers={"Accept": "text/html"})  # noqa: S310 - checked above
        with self._opener.open(request, timeout=TIMEOUT) as answer:
            location = answer.headers["Location"] if answer.status in REDIRECTS else None
            return WebPage(
                status=answer.status,
                url=url,
                text=answer.read(MOST_TEXT).decode("utf-8", "replace"),
                location=None if location is None else urljoin(url, location),
            )


def _place(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc, parts.path or "/"
