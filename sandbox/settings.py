"""The settings of one sandbox: its folder, its port, how long a CloudWatch minute lasts, and its network.

They live in `ROOT/settings.json`, written by `cutover sandbox up` and read by every process of the sandbox.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

# The folder a user names for the sandbox; without it, `.sandbox` in the current folder.
DIRECTORY_VARIABLE = "CUTOVER_SANDBOX_DIR"
FILE_NAME = "settings.json"


class SettingsError(Exception):
    """The settings of the sandbox can't be used; the message names the file, the field and the way out."""


@dataclasses.dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What every process of one sandbox agrees on.

    `minute_seconds` is how long a CloudWatch minute lasts here, in seconds (60 is real time; 1 compresses).
    `network` is the two-octet prefix of the VPC's loopback addresses: `127.1` stands for 127.1.0.0/16.
    `mongo_url` and `redis_url` point the databases at servers of the user's own instead of the sandbox's.
    """

    root: Path
    gateway_port: int = 4566
    region: str = "ap-northeast-2"
    account: str = "123456789012"
    minute_seconds: float = 60.0
    network: str = "127.1"
    mongo_url: str | None = None
    redis_url: str | None = None

    def __post_init__(self) -> None:
        """Raises SettingsError naming the first field that no sandbox can be run with."""
        if not isinstance(self.gateway_port, int) or not 1 <= self.gateway_port <= 65535:
            raise SettingsError(f"gateway_port is {self.gateway_port!r}; it has to be a port, 1 to 65535")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", str(self.region)):
            raise SettingsError(f"region is {self.region!r}; it has to be a region such as ap-northeast-2")
        if not re.fullmatch(r"\d{12}", str(self.account)):
            raise SettingsError(f"account is {self.account!r}; it has to be an account id of 12 digits")
        if not isinstance(self.minute_seconds, int | float) or not 0.05 <= self.minute_seconds <= 60:
            raise SettingsError(f"minute_seconds is {self.minute_seconds!r}; it has to be 0.05 to 60 seconds")
        octets = re.fullmatch(r"127\.(\d{1,3})", str(self.network))
        if not octets or not 1 <= int(octets[1]) <= 255:
            raise SettingsError(f"network is {self.network!r}; it has to be 127.1 to 127.255")

        # The URLs hold passwords: a message names their scheme at most.
        for name, url, schemes in (
            ("mongo_url", self.mongo_url, ("mongodb",)),
            ("redis_url", self.redis_url, ("redis", "rediss")),
        ):
            if url is not None and str(url).partition("://")[0] not in schemes:
                scheme = str(url).partition("://")[0] if "://" in str(url) else "no URL"
                raise SettingsError(f"{name} is {scheme!r}; it has to begin with {schemes[0]}://")

    @classmethod
    def load(cls, root: Path | str) -> SandboxSettings:
        """The settings kept under `root`, or the defaults where nothing is kept yet.

        Raises SettingsError when the file is not what `save` writes.
        """
        root = Path(root).resolve()
        path = root / FILE_NAME
        way_out = "run `cutover sandbox reset` to start over"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(root=root)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} can't be read ({error}); {way_out}") from error
        known = {field.name for field in dataclasses.fields(cls)} - {"root"}
        if not isinstance(kept, dict) or set(kept) - known:
            stranger = sorted(set(kept) - known)[0] if isinstance(kept, dict) else type(kept).__name__
            raise SettingsError(f"{path} holds {stranger!r}, which is no setting; {way_out}")
        try:
            return cls(root=root, **kept)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}; {way_out}") from error

    def save(self) -> None:
        """Writes the file by rename, readable by its owner only (a database URL may hold a password)."""
        self.root.mkdir(parents=True, exist_ok=True)
        kept: dict[str, Any] = dataclasses.asdict(self)
        kept.pop("root")
        temporary = self.root / f".{FILE_NAME}.tmp"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=2)
        os.replace(temporary, self.root / FILE_NAME)

    @property
    def endpoint_url(self) -> str:
        """Where the AWS API of this sandbox answers."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def pki(self) -> Path:
        """The folder of the sandbox's certificate authority."""
        return self.root / "pki"

    @property
    def ca_bundle(self) -> Path:
        """The public roots and the sandbox's CA in one file: the trust store of everything that runs here."""
        return self.pki / "bundle.pem"

    @property
    def logs(self) -> Path:
        """One `NAME.log` per process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process ids, sockets and the files that running processes follow."""
        return self.root / "run"


def default_root() -> Path:
    """The sandbox folder meant by a command that names none."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or ".sandbox").resolve()
