"""Errors that reach a person through the `docker` stand-in."""


class DockerError(Exception):
    """A user-facing failure: one message, and the exit status that docker would give it."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UnsupportedError(DockerError):
    """Something real Docker can do and this stand-in cannot: never a silence."""
