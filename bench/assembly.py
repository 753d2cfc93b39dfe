"""`python -m bench.assembly MODULE OUT`: the control plane of a benchmark's environment, synthesised.

The module has it as `configuration()`.
"""

from __future__ import annotations

import importlib
import sys

from stacks.app import add_environment, new_app


def main() -> None:
    module, out = sys.argv[1:]
    app = new_app(outdir=out)
    add_environment(app, importlib.import_module(module).configuration())
    app.synth()


if __name__ == "__main__":
    main()
