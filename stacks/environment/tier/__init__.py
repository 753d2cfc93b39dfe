"""The monitoring tier (requirements B8, C4): what runs on its host, and with which configuration.

Everything is rendered when the app is synthesised. Two values only the host knows, its address and the AWS
endpoint; rollout.sh fills them in. The files in JSON are YAML too, and are written so that nothing in them
looks like a parameter of Run Command (`{{ Name }}`).
"""

import json
from typing import Any

#: What rollout.sh replaces.
ADDRESS, ENDPOINT = "@INSTANCE_ADDRESS@", "@AWS_ENDPOINT_URL@"


def written(document: Any) -> str:
    """The document as JSON without two braces in a row; those of templates stand escaped in their strings."""
    return json.dumps(document, ensure_ascii=False).replace("{{", "{\\u007b") + "\n"
