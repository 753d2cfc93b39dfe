"""The status page's address: the installed function behind a small server, as behind an HTTP API."""

from __future__ import annotations

import json
import threading
from typing import Any

from sandbox.emulator.context import Context
from sandbox.status_page import address, server

FUNCTION = "cutover-sandbox-status"


def install(context: Context) -> None:
    def call(event: dict[str, Any]) -> Any:
        answer = context.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event).encode())
        document = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise RuntimeError(str(document.get("errorMessage")))
        return document

    page = server(address(context.settings.network), call)
    threading.Thread(target=page.serve_forever, daemon=True, name="status-page").start()
