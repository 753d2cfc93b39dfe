"""The CDK app's stacks: the control plane, and the environments it provisions."""

import os

# jsii warns at every start that Node 20 is past its support, and still runs. The variable lists releases.
_QUIET = "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"
os.environ[_QUIET] = ",".join([*filter(None, [os.environ.get(_QUIET)]), "20"])
