"""Debian's Chromium and its driver, headless, for the tests and for the pictures of the documentation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

MISSING = "no Chromium: install Debian's packages chromium and chromium-driver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--lang=en",
)


class ChromiumMissingError(Exception):
    """Chromium or its driver is not installed; the message says how to get them."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a profile of its own, ended with the block. Raises ChromiumMissingError."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        raise ChromiumMissingError(MISSING)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield running
    finally:
        running.quit()
