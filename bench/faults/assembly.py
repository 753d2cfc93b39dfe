"""`python -m bench.faults.assembly OUT`: the control plane of the benchmark's environment, synthesised."""

from __future__ import annotations

import sys

from bench.faults.environment import configuration
from stacks.app import add_environment, new_app


def main() -> None:
    app = new_app(outdir=sys.argv[1])
    add_environment(app, configuration())
    app.synth()


if __name__ == "__main__":
    main()
