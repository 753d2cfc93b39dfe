"""Somebody who looks at the sandbox's status page in a real Chromium while deployments go by."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from sandbox.status_page import address
from tests.browser.chromium import ChromiumMissingError, chromium
from tests.browser.page import complaints, open_page, seen, wait_for

PATIENCE_SECONDS = 10
#: Notes in the page's own time (milliseconds) whenever something else is to be read there.
NOTE = """
window.noted = [];
const note = () => {
  const state = document.getElementById("state").textContent;
  const done = document.querySelectorAll("#phases .good").length;
  const last = window.noted.at(-1);
  if (!last || last.state !== state || last.done !== done) window.noted.push({ at: Date.now(), state, done });
};
new MutationObserver(note).observe(document.querySelector("main"), { childList: true, subtree: true, characterData: true });
note();
"""


@dataclass
class Onlooker:
    """`seen` are the states that were shown, each with the phases done and the moment; whole when `leave`
    was called."""

    network: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    missing: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)
    _browser: Any = None

    def come(self) -> None:
        try:
            self._browser = self._stack.enter_context(chromium())
        except ChromiumMissingError as error:
            self.missing = str(error)
            return
        host, port = address(self.network)
        open_page(self._browser, f"http://{host}:{port}/")
        self._browser.execute_script(NOTE)

    def leave(self, last: str = "") -> None:
        """When the state that the page shows begins with `last`."""
        if self._browser is not None:
            if last:
                wait_for(lambda: seen(self._browser, "state").startswith(last), PATIENCE_SECONDS, last)
            # A page that was loaded again has lost its notes.
            self.seen = self._browser.execute_script("return window.noted") or []
            self.complaints = complaints(self._browser)
            self._browser = None
        self._stack.close()
