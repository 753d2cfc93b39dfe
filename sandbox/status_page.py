"""The status page on this machine: an HTTP server that calls the installed function as the HTTP API would.

    http://127.1.0.6:8091/     (the sandbox's network, 0.6)

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 8091
_LARGEST_BODY = 64 * 1024


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def address(network: str) -> tuple[str, int]:
    """Where the page of a sandbox with this network is: an address of the VPC that belongs to no subnet."""
    return f"{network}.0.6", PORT


def server(where: tuple[str, int], call: Any) -> ThreadingHTTPServer:
    """`call(event)` answers with the function's answer; what it raises is answered 502."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass("")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or int(length) > _LARGEST_BODY:
                self.close_connection = True
                self._answer({"statusCode": 413, "headers": {}, "body": "too large"})
                return
            self._pass(self.rfile.read(int(length)).decode("utf-8", "replace"))

        def _pass(self, body: str) -> None:
            path, _, query = self.path.partition("?")
            event = {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "requestContext": {
                    "http": {"method": self.command, "path": path, "sourceIp": self.client_address[0]}
                },
                "body": body,
                "isBase64Encoded": False,
            }
            try:
                answer = call(event)
            except Exception as error:  # HTTP APIs answer so, whatever it was
                answer = {"statusCode": 502, "headers": {}, "body": json.dumps({"message": str(error)[:200]})}
            self._answer(answer)

        def _answer(self, answer: dict[str, Any]) -> None:
            body = str(answer.get("body") or "").encode()
            self.send_response(int(answer["statusCode"]))
            for name, value in (answer.get("headers") or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """The function has its own log."""

    return _Server(where, Handler)
