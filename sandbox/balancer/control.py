"""Keeps the proxy at what the API says: woken by every change, and once a second in any case."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sandbox.balancer.metrics import Snapshot, parse
from sandbox.balancer.model import State, Stream
from sandbox.balancer.proxy import HostHealth, Proxy, ProxyError

_logger = logging.getLogger("balancer")
# How long a change that nobody announced may stay unseen, in seconds.
_SWEEP_SECONDS = 1.0
# Changes that arrive together (a deployment of a whole stack) are applied together, in seconds.
_GATHER_SECONDS = 0.002


class Controller:
    """One proxy and the thread that keeps it at the state which `read` gives.

    `read` is called on that thread. Streams (TLS in front of a TCP service) are added by whoever runs the
    service.
    """

    def __init__(self, proxy: Proxy, read: Callable[[], State]) -> None:
        self._proxy = proxy
        self._read = read
        self._streams: dict[str, Stream] = {}
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._applied = threading.Condition()
        self._round = 0
        self._started = False
        self._refused: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="balancer", daemon=True)

    def start(self) -> None:
        """Starts the thread; the proxy itself starts with its first listener."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and the proxy."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._proxy.stop()

    def changed(self) -> None:
        """Says that the API's records have changed. Returns at once."""
        self._changed.set()

    def settle(self, timeout: float = 10.0) -> bool:
        """Waits until a state read after this call is applied; False when that took longer than `timeout`."""
        with self._applied:
            # The round under way may have read before this call; the one after it has not.
            wanted = self._round + 2
            deadline = time.monotonic() + timeout
            while self._round < wanted:
                self._changed.set()
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._applied.wait(min(remaining, 0.1))
            return True

    def offer(self, stream: Stream) -> None:
        """Adds or replaces a stream."""
        self._streams[stream.name] = stream
        self.changed()

    def withdraw(self, name: str) -> None:
        """Removes a stream; one that is not there is no error."""
        self._streams.pop(name, None)
        self.changed()

    def health(self) -> dict[tuple[str, str, int], HostHealth]:
        """(group, address, port) -> health; empty while nothing is served."""
        if not self._proxy.running:
            return {}
        try:
            return self._proxy.health()
        except ProxyError as error:
            _logger.warning("%s", error)
            return {}

    def snapshot(self) -> Snapshot:
        """The proxy's counters; empty while nothing is served. Raises ProxyError."""
        return parse(self._proxy.statistics()) if self._proxy.running else Snapshot({}, {})

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._changed.wait(_SWEEP_SECONDS)
            if self._stopping.is_set():
                return
            time.sleep(_GATHER_SECONDS)
            self._changed.clear()
            try:
                self._apply()
            except Exception:
                # The next change or sweep tries again; a thread that ended would freeze the data plane.
                _logger.exception("the balancer could not be brought to the API's state")
            with self._applied:
                self._round += 1
                self._applied.notify_all()

    def _apply(self) -> None:
        read = self._read()
        wanted = State(read.listeners, read.groups, (*read.streams, *list(self._streams.values())))
        if not self._proxy.running and not wanted.listeners and not wanted.streams:
            return
        if self._started and not self._proxy.running:
            _logger.error("the balancer ended by itself and is started again; see its log for the reason")
        self._started = True
        if self._proxy.apply(wanted):
            self._report_refusals()

    def _report_refusals(self) -> None:
        """Envoy keeps what it had when it refuses a document (a taken port): that must not pass unseen."""
        refused = self._proxy.rejected()
        for name, count in refused.items():
            if count > self._refused.get(name, 0):
                _logger.error("the balancer refused a document (%s); see its log for the reason", name)
        self._refused = refused
