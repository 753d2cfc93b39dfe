"""Whether a role trusts an AWS service: without that, the service can't act as the role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam


def trusts(role: dict[str, Any], service: str) -> bool:
    """Whether the trust policy of `role` lets the service principal `service` assume it.

    Conditions are not looked at: a service's own call carries keys that the sandbox does not know.
    """
    document = role.get("AssumeRolePolicyDocument") or {}
    document = json.loads(document) if isinstance(document, str) else document
    statements = document.get("Statement") or []
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        named = principal.get("Service", []) if isinstance(principal, dict) else []
        if (
            statement.get("Effect") == "Allow"
            and iam_evaluator._action_matches("sts:AssumeRole", _listed(statement.get("Action") or []), [])
            and (principal == "*" or service in _listed(named))
        ):
            return True
    return False


def distrusted(role_arn: str, service: str) -> bool:
    """Whether the role exists and does not trust `service`; one that does not exist is another error."""
    role = iam._roles.get(role_arn.rsplit("/", 1)[-1]) if role_arn else None
    return role is not None and not trusts(role, service)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
