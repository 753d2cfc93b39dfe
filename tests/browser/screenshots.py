"""`make screenshots`: the pictures of docs/status-page.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from cutover.handlers import status
from tests.browser.chromium import ChromiumMissingError, chromium
from tests.browser.conftest import page_server
from tests.browser.page import open_page, wait_for
from tests.browser.stage import Stage
from tests.browser.test_status_page import populated

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
#: A picture is there to be looked at on a page, not to be zoomed into.
LARGEST_BYTES = 150_000


def rolled_back(stage: Stage) -> None:
    """The deployment under way has been taken back."""
    populated(stage)
    stage.roll_back("p95 above 2 s for 3 minutes")


PICTURES: tuple[tuple[str, Callable[[Stage], None], dict[str, Any]], ...] = (
    ("status-light.png", populated, {"width": 1100, "language": "en"}),
    ("status-rolled-back.png", rolled_back, {"width": 1100, "language": "en"}),
    ("status-dark.png", populated, {"width": 1100, "dark": True, "language": "ko"}),
    ("status-phone.png", populated, {"width": 360, "language": "ko"}),
)


def main() -> int:
    try:
        with chromium() as browser, page_server() as address:
            for name, arrange, look in PICTURES:
                stage = Stage()
                arrange(stage)
                with mock.patch.object(status, "wiring", stage.wiring):
                    open_page(browser, address, **look)
                    wait_for(lambda: browser.find_elements("css selector", "svg.spark"), 5, "the lines")
                    picture = browser.get_screenshot_as_png()
                    browser.get("about:blank")
                if len(picture) > LARGEST_BYTES:
                    print(f"{name} has {len(picture)} bytes, at most {LARGEST_BYTES}", file=sys.stderr)
                    return 1
                (IMAGES / name).write_bytes(picture)
                print(IMAGES / name)
    except ChromiumMissingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
