"""What a person does with the pages of Keycloak and of oidc-provider."""

import threading
from collections.abc import Mapping

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import visibility_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

PAGE_TIMEOUT = 60.0
MOST_PAGES = 10

# Each is on some pages only. The first of a line is Keycloak's, the second oidc-provider's.
USERNAME = "#username, input[name=login]"
PASSWORD = "#password, input[name=password]"
USER_CODE = "#device_user_code, input[name=user_code][type=text]"
GO_ON = (
    "#kc-login, #kc-logout, button.login-submit, button[form='op.deviceInputForm'], "
    "button[autofocus][form='op.deviceConfirmForm'], button[name=logout]"
)
DENY = "#kc-cancel, button[name=abort], a[href$='/abort']"
REFUSED = "[id^=input-error-], .pf-m-danger, #kc-error-message, p.red"  # empty where nothing is refused

MARK_AS_ANSWERED = "window.answered = true"  # goes with its page
NEXT_PAGE_IS_THERE = "return !window.answered && document.readyState === 'complete'"


class Refused(Exception):
    """The page says no; the message is what it says."""


def sign_in(browser: Chrome, url: str, username: str, password: str, *, user_code: str = "") -> None:
    """Opens an authorization URL or a device's verification URI and agrees to all, until nothing is asked any more.

    oidc-provider takes any name and any password. `user_code` is for a verification URI that does not have it.

    Raises:
        Refused: the server does not take the name and the password, the code, or the request.
    """
    _answer(browser, url, {USERNAME: username, PASSWORD: password, USER_CODE: user_code})


def deny(browser: Chrome, url: str, username: str, password: str) -> None:
    """Opens the same, and says no on the first page that lets a person do so."""
    _answer(browser, url, {USERNAME: username, PASSWORD: password}, denies=True)


def sign_out(browser: Chrome, url: str) -> None:
    """Opens an end session URL and confirms.

    Raises:
        Refused: the server does not take the request.
    """
    _answer(browser, url, {})


def forget_cookies(browser: Chrome) -> None:
    """Leaves the browser to somebody else: no server knows it any more."""
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})


def heading(browser: Chrome, *, mark: str) -> str:
    """Waits for our own page with that mark, `yes` or `no`, at the end of a sign-in; gives what it says first."""
    with _at_work:
        where = (By.CSS_SELECTOR, f"main.{mark} h1")
        return WebDriverWait(browser, PAGE_TIMEOUT).until(visibility_of_element_located(where)).text


# A sign-in is over for the program before it is for the browser, which `login()` lets work on a thread of its own.
_at_work = threading.Lock()


def _answer(browser: Chrome, url: str, answers: Mapping[str, str], *, denies: bool = False) -> None:
    with _at_work:
        _go_through(browser, url, answers, denies=denies)


def _go_through(browser: Chrome, url: str, answers: Mapping[str, str], *, denies: bool) -> None:
    browser.get(url)
    for _ in range(MOST_PAGES):
        if said := "".join(element.text for element in browser.find_elements(By.CSS_SELECTOR, REFUSED)):
            raise Refused(said)
        no_button = _first(browser, DENY) if denies else None
        button = no_button or _first(browser, GO_ON)
        if button is None:
            return
        for where, answer in answers.items():
            if field := _first(browser, where):
                field.clear()
                field.send_keys(answer)
        browser.execute_script(MARK_AS_ANSWERED)
        button.click()
        # Between two pages chromedriver may answer with any error.
        WebDriverWait(browser, PAGE_TIMEOUT, ignored_exceptions=[WebDriverException]).until(_next_page_is_there)
        denies = denies and no_button is None
    raise Refused(f"more than {MOST_PAGES} pages, the last is {browser.title!r}")


def _next_page_is_there(browser: Chrome) -> bool:
    """Whether all of it is: half a page has no button, as the last one has none."""
    return bool(browser.execute_script(NEXT_PAGE_IS_THERE))


def _first(browser: Chrome, where: str) -> WebElement | None:
    return next(iter(browser.find_elements(By.CSS_SELECTOR, where)), None)
