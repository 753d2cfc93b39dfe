"""The CDK app's stacks: the control plane, and the environments it provisions."""

import os

# jsii warns at every start that Node 20's support has ended; it still runs there.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
