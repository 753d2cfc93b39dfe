"""The CDK app's stacks: the control plane, and the environments it provisions."""

import os

# jsii warns on every start about a Node release past its support; which Node is fit is the README's subject.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "1")
