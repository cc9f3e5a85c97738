"""Opens and closes Chromium."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PAGE_TIMEOUT = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",  # it does not start without, for root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # there is nothing but loopback
    "--window-size=1200,900",
)


@contextmanager
def open_browser(folder: Path) -> Iterator[Chrome]:
    """A Chromium that has never been anywhere, closed when the block ends; its driver writes a log in `folder`."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        raise RuntimeError("there is no Chromium with a driver: run `make interop`, which installs them first.")
    options = ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(prefix="interop-browser-", ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = Chrome(options, Service(driver, log_output=str(folder / "chromedriver.log")))
        try:
            browser.set_page_load_timeout(PAGE_TIMEOUT)
            yield browser
        finally:
            browser.quit()
