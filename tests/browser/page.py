"""The page in a browser: opened, looked at, waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest


def seen(browser: Any, id: str) -> str:
    found: str = browser.execute_script("return document.getElementById(arguments[0]).innerText", id)
    return found


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> float:
    """How long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"{what} was not seen within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - began


def look(browser: Any, width: int, *, dark: bool) -> None:
    """Another screen and another scheme, without loading anything."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def open_page(
    browser: Any, address: str, *, width: int = 1280, dark: bool = False, language: str = "en"
) -> None:
    look(browser, width, dark=dark)
    browser.get(address)
    if browser.execute_script("return document.documentElement.lang") != language:
        browser.execute_script("localStorage.setItem('language', arguments[0])", language)
        browser.get(address)
    wait_for(lambda: seen(browser, "environment"), 20, "the first answer")


def complaints(browser: Any) -> list[str]:
    """What the console said; a refused feedback is told there as a failed request, and nothing else may be."""
    return [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]
