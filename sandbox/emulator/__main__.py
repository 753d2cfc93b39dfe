"""`python -m sandbox.emulator ROOT`: the AWS API of the sandbox in ROOT, until SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.emulator.server import ADDITIONS, run
from sandbox.settings import SandboxSettings, SettingsError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.emulator", description=__doc__)
    parser.add_argument("root", type=Path, metavar="ROOT", help="the sandbox's folder")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=ADDITIONS,
        metavar="ADDITION",
        help="leave one addition out (tests do): " + ", ".join(ADDITIONS),
    )
    options = parser.parse_args(arguments)
    try:
        settings = SandboxSettings.load(options.root)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    run(settings, without=options.without)
    return 0


if __name__ == "__main__":
    sys.exit(main())
