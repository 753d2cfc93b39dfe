"""`python -m backend.healthcheck`: exit 0 when this container's /health answers 200, else 1.

The slim image has no curl. Only http.client is imported, so that the probe costs little.
"""

import http.client
import os
import sys

# Below the 10 s of the compose file, so that the reason is printed before the probe is killed.
TIMEOUT_SECONDS = 9


def main() -> int:
    host = os.environ.get("HOST") or "127.0.0.1"
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    connection = http.client.HTTPConnection(
        host, int(os.environ.get("PORT") or "8000"), timeout=TIMEOUT_SECONDS
    )
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        body = response.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    print(response.status, body)
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
