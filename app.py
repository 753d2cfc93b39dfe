"""The CDK app: reads config/, builds a control plane for each environment; asks no account, git or network.

`cdk synth` builds all environments; `-c environment=NAME` narrows it to one, which is quicker.
"""

import sys

from config.model import ConfigurationError
from stacks.app import build


def main() -> int:
    """Synthesise; a mistake in the configuration is one line on stderr, not a stack trace."""
    try:
        build()
    except ConfigurationError as error:
        print(f"cutover: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
