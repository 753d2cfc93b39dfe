"""`python -m backend`: serve on HOST:PORT until SIGTERM, then finish the requests in flight."""

import gc

# Loading makes many objects and no garbage; collecting meanwhile costs a third of the start-up.
gc.disable()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from contextlib import ExitStack  # noqa: E402

import uvicorn  # noqa: E402

from backend import logs  # noqa: E402
from backend.connections import PatientProtocol  # noqa: E402
from backend.settings import Settings, SettingsError  # noqa: E402

# Above the load balancer's idle timeout of 60 s, or it would send requests into closing connections.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
KEEP_ALIVE_SECONDS = 75
# Below the 10 s after which `docker stop` kills.
GRACEFUL_SECONDS = 8


def main() -> int:
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"backend: {error}", file=sys.stderr)
        return 2
    logs.configure(
        settings.log_level, release_version=settings.release_version, instance_id=settings.instance_id
    )
    # uvicorn raises the signal again when it has finished; ending as told is a success.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    several = settings.uvicorn_workers > 1
    with ExitStack() as stack:
        if several and settings.monitoring_enabled:
            # Read by prometheus_client in each worker.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="backend-metrics-")
            )
        uvicorn.run(
            "backend.application:create",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.uvicorn_workers,
            loop="uvloop",
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
