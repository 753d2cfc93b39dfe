"""Connections at a worker's end: what was sent to it just then is answered.

uvicorn closes each idle connection as soon as it is told to end. One that was accepted in that very moment
looks idle, though its request may be on its way: the client would see a reset.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What a client on the same network has sent arrives well within this time.
UNREAD_SECONDS = 0.3


class PatientProtocol(HttpToolsProtocol):
    """Reads for another moment before it closes an idle connection."""

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(UNREAD_SECONDS, super().shutdown)
        else:
            super().shutdown()
