"""ELBv2 with a data plane: weights kept and honoured, targets by (id, port), health as the balancer sees it.

ministack keeps the records; here is what it lacks of the API, and the link to the balancer
(sandbox.balancer), which follows every change within milliseconds. What is checked, and the errors,
follow https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import atexit
import functools
import logging
from collections.abc import Callable
from typing import Any

from ministack.services import alb, ec2
from ministack.services.cloudformation import provisioners

from sandbox.balancer import translation
from sandbox.balancer.control import Controller
from sandbox.balancer.model import State
from sandbox.balancer.proxy import Proxy
from sandbox.emulator import (
    certificates,
    load_balancer_forwarding,
    load_balancer_metrics,
    load_balancer_rules,
)
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.load_balancer_checks import Refusal, check_listener, require_free_port
from sandbox.emulator.load_balancer_targets import Targets

_logger = logging.getLogger("load_balancers")
_TYPE = "AWS::ElasticLoadBalancingV2::"
# Actions after which the balancer may have something else to do.
_CHANGING = (
    *("CreateLoadBalancer", "DeleteLoadBalancer", "ModifyLoadBalancerAttributes", "SetSubnets"),
    *("CreateTargetGroup", "ModifyTargetGroup", "DeleteTargetGroup", "ModifyTargetGroupAttributes"),
    *("CreateListener", "ModifyListener", "DeleteListener", "CreateRule", "ModifyRule", "DeleteRule"),
    *("SetRulePriorities", "RegisterTargets", "DeregisterTargets"),
)
# The last octets that load balancers take in the first public subnet: below those of instances.
_OCTETS = range(10, 100)
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
_GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "stickiness.enabled": "false",
    "stickiness.type": "lb_cookie",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "load_balancing.algorithm.type": "round_robin",
    "slow_start.duration_seconds": "0",
}
_controller: Controller | None = None


def controller() -> Controller:
    """The balancer of this emulator, for additions that offer a TLS port of their own."""
    if _controller is None:
        raise RuntimeError("load_balancers is not installed yet")
    return _controller


def install(context: Context) -> None:
    """Put the additions on, and start the thread that keeps the balancer at the API's state."""
    global _controller  # noqa: PLW0603 (one emulator per process, as ministack's own state is)
    settings = context.settings
    targets = Targets()

    def read() -> State:
        context.scope()
        return translation.state(
            targets.records(),
            address_of=targets.address_of,
            certificate_of=functools.partial(certificates.files_of, settings),
            minute_seconds=settings.minute_seconds,
        )

    proxy = Proxy(settings.run / "balancer", settings.logs / "balancer.log")
    _controller = Controller(proxy, read)
    targets.health = _controller.health
    load_balancer_forwarding.install()
    _install_balancers(settings.network)
    _install_deletion()
    _install_groups()
    _install_listeners()
    targets.install()
    _announce_changes(_controller)
    _controller.start()
    load_balancer_metrics.start(context, targets, _controller)
    atexit.register(_controller.stop)


# --- load balancers ------------------------------------------------------------------------------------


def _install_balancers(network: str) -> None:
    """Each load balancer has an address that can be bound as its DNSName: nothing has to be resolved."""
    create = seam(alb, "_create_lb")
    create_resource = seam(provisioners, "_elbv2_load_balancer_create")
    render = seam(alb, "_lb_xml")

    def place(record: dict[str, Any]) -> None:
        taken = {each["DNSName"] for each in alb._lbs.values() if each is not record}
        taken |= {str(each.get("PrivateIpAddress")) for each in ec2._instances.values()}
        free = (f"{network}.1.{octet}" for octet in _OCTETS)
        address = next((each for each in free if each not in taken), None)
        if address is None:
            raise Refusal(
                "TooManyLoadBalancers", f"the sandbox has addresses for {len(_OCTETS)} load balancers"
            )
        record["DNSName"] = address
        subnets = [ec2._subnets.get(each) for each in record["Subnets"]]
        record["VpcId"] = next((each["VpcId"] for each in subnets if each), record["VpcId"])

    def check(subnets: list[str], security_groups: list[str]) -> None:
        for each in subnets:
            if each not in ec2._subnets:
                raise Refusal("SubnetNotFound", f"The subnet ID '{each}' is not valid")
        for each in security_groups:
            if each not in ec2._security_groups:
                raise Refusal("InvalidSecurityGroup", f"The security group '{each}' does not exist")
        zones = {ec2._subnets[each].get("AvailabilityZone") for each in subnets}
        if len(zones) < 2:
            raise Refusal(
                "ValidationError",
                "At least two subnets in two different Availability Zones must be specified",
            )

    def create_lb(params: dict[str, Any]) -> Any:
        subnets = alb._parse_member_list(params, "Subnets") or _mapped_subnets(params)
        check(subnets, alb._parse_member_list(params, "SecurityGroups"))
        before = set(alb._lbs)
        response = create(params)
        for arn in set(alb._lbs) - before:
            record = alb._lbs[arn]
            record["Subnets"] = record["Subnets"] or _mapped_subnets(params)
            place(record)
            return alb._xml(
                200, "CreateLoadBalancer", f"<LoadBalancers>{alb._lb_xml(record)}</LoadBalancers>"
            )
        return response

    def create_from_template(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        if properties.get("Type", "application") != "application":
            raise ValueError("Type: the sandbox has application load balancers only")
        mappings = properties.get("SubnetMappings") or []
        subnets = provisioners._elbv2_as_list(properties.get("Subnets")) or [
            each["SubnetId"] for each in mappings
        ]
        check(subnets, provisioners._elbv2_as_list(properties.get("SecurityGroups")))
        arn, attributes = create_resource(logical_id, {**properties, "Subnets": subnets}, stack_name)
        record = alb._lbs[arn]
        place(record)
        return arn, {**attributes, "DNSName": record["DNSName"]}

    def lb_xml(record: dict[str, Any]) -> str:
        head, _, rest = str(render(record)).partition("<AvailabilityZones>")
        tail = rest.partition("</AvailabilityZones>")[2]
        zones = "".join(
            f"<member><ZoneName>{(ec2._subnets.get(each) or {}).get('AvailabilityZone', '')}</ZoneName>"
            f"<SubnetId>{each}</SubnetId><LoadBalancerAddresses/></member>"
            for each in record["Subnets"]
        )
        return f"{head}<AvailabilityZones>{zones}</AvailabilityZones>{tail}"

    replace(alb, "_lb_xml", lb_xml)
    _replace_action("CreateLoadBalancer", "_create_lb", create_lb)
    _replace_resource("LoadBalancer", "create", "_elbv2_load_balancer_create", create_from_template)


def _install_deletion() -> None:
    """A load balancer takes its listeners and rules with it, unless it is protected.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteLoadBalancer.html
    """
    delete = seam(alb, "_delete_lb")

    def delete_lb(params: dict[str, Any]) -> Any:
        arn = alb._p(params, "LoadBalancerArn")
        attributes = translation.as_mapping(alb._lb_attrs.get(arn, []))
        if attributes.get("deletion_protection.enabled") == "true":
            message = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            raise Refusal("OperationNotPermitted", message)
        for listener in [key for key, each in alb._listeners.items() if each["LoadBalancerArn"] == arn]:
            alb._delete_listener({"ListenerArn": listener})
        return delete(params)

    _replace_action("DeleteLoadBalancer", "_delete_lb", delete_lb)


def _mapped_subnets(params: dict[str, Any]) -> list[str]:
    found: list[str] = []
    while subnet := alb._p(params, f"SubnetMappings.member.{len(found) + 1}.SubnetId"):
        found.append(subnet)
    return found


# --- target groups -------------------------------------------------------------------------------------


def _install_groups() -> None:
    """Attributes with AWS's defaults under them, and no deletion of a group that is in use."""
    create = seam(alb, "_create_tg")
    delete = seam(alb, "_delete_tg")
    create_resource = seam(provisioners, "_elbv2_target_group_create")

    def complete(arn: str) -> None:
        attributes = _GROUP_DEFAULTS | {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in translation.as_mapping(alb._tg_attrs[arn]).items()
        }
        alb._tg_attrs[arn] = [{"Key": key, "Value": value} for key, value in attributes.items()]

    def create_tg(params: dict[str, Any]) -> Any:
        before = set(alb._tgs)
        response = create(params)
        for arn in set(alb._tgs) - before:
            complete(arn)
        return response

    def create_from_template(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        arn, attributes = create_resource(logical_id, properties, stack_name)
        complete(arn)
        declared = properties.get("Targets") or []
        alb._targets[arn] = [
            {"Id": each["Id"], **({"Port": int(each["Port"])} if each.get("Port") else {})}
            for each in declared
        ]
        return arn, attributes

    def delete_tg(params: dict[str, Any]) -> Any:
        arn = alb._p(params, "TargetGroupArn")
        if (alb._tgs.get(arn) or {}).get("LoadBalancerArns"):
            message = f"Target group '{arn}' is currently in use by a listener or a rule"
            raise Refusal("ResourceInUse", message)
        return delete(params)

    # Fn::GetAtt TargetGroupFullName is `targetgroup/NAME/ID`, as metrics have it; ministack's lacks the head.
    replace(alb, "_target_group_full_name_from_arn", translation.full_name)
    _replace_action("CreateTargetGroup", "_create_tg", create_tg)
    _replace_action("DeleteTargetGroup", "_delete_tg", delete_tg)
    _replace_resource("TargetGroup", "create", "_elbv2_target_group_create", create_from_template)


# --- listeners and rules -------------------------------------------------------------------------------


def _install_listeners() -> None:
    """Listeners and rules are checked before anything changes."""
    for action, name in (("CreateListener", "_create_listener"), ("ModifyListener", "_modify_listener")):
        _replace_action(action, name, _checked_listener(seam(alb, name)))
    create = seam(provisioners, "_elbv2_listener_create")
    update = seam(provisioners, "_elbv2_listener_update")

    def create_from_template(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        _check_template(properties, None)
        arn, attributes = create(logical_id, properties, stack_name)
        alb._listener_attrs.setdefault(
            arn, [{"Key": "routing.http.response.server.enabled", "Value": "true"}]
        )
        return arn, attributes

    def update_from_template(
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str | None = None,
    ) -> Any:
        _check_template(new, physical_id)
        return update(physical_id, old, new, stack_name, logical_id)

    load_balancer_rules.install(_replace_action, _replace_resource)
    _replace_resource("Listener", "create", "_elbv2_listener_create", create_from_template)
    _replace_resource("Listener", "update", "_elbv2_listener_update", update_from_template)


def _checked_listener(original: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def checked(params: dict[str, Any]) -> Any:
        arn = alb._p(params, "ListenerArn") or None
        current = alb._listeners.get(arn) or {} if arn else {}
        balancer_arn = current.get("LoadBalancerArn") or alb._p(params, "LoadBalancerArn")
        port = int(alb._p(params, "Port") or current.get("Port", 0))
        check_listener(
            arn=arn,
            balancer_arn=balancer_arn,
            port=port,
            protocol=alb._p(params, "Protocol") or current.get("Protocol", "HTTP"),
            policy=alb._p(params, "SslPolicy") or current.get("SslPolicy"),
            certificates=alb._parse_certificate_arns(params) or current.get("Certificates", []),
            actions=alb._parse_actions(params, "DefaultActions") or current.get("DefaultActions", []),
        )
        require_free_port(balancer_arn, port, current)
        return original(params)

    return checked


def _check_template(properties: dict[str, Any], arn: str | None) -> None:
    port = int(properties.get("Port") or 0)
    balancer_arn = properties.get("LoadBalancerArn", "")
    check_listener(
        arn=arn,
        balancer_arn=balancer_arn,
        port=port,
        protocol=properties.get("Protocol", "HTTP"),
        policy=properties.get("SslPolicy"),
        certificates=[each["CertificateArn"] for each in properties.get("Certificates") or []],
        actions=provisioners._elbv2_listener_actions(properties, None),
    )
    require_free_port(balancer_arn, port, alb._listeners.get(arn) or {} if arn else {})


# --- the seams -----------------------------------------------------------------------------------------


def _replace_action(action: str, name: str, handler: Callable[[dict[str, Any]], Any]) -> None:
    """Puts `handler` in the place of an API action's; its Refusal becomes the error that AWS answers."""

    def handle(params: dict[str, Any]) -> Any:
        try:
            return handler(params)
        except Refusal as refusal:
            return alb._error(refusal.code, refusal.message)

    replace(alb, name, handle)
    seam(alb, "_ACTION_MAP")[action] = handle


def _replace_resource(kind: str, verb: str, name: str, handler: Callable[..., Any]) -> None:
    """Puts `handler` in the place of a CloudFormation handler, which ministack also calls by its name."""
    replace(provisioners, name, handler)
    seam(provisioners, "_RESOURCE_HANDLERS")[_TYPE + kind][verb] = handler


def _announce_changes(balancer: Controller) -> None:
    """Every changing action, and every CloudFormation handler, ends by waking the balancer."""

    def announcing(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return original(*arguments, **named)
            finally:
                _associate()
                balancer.changed()

        return call

    actions = seam(alb, "_ACTION_MAP")
    for name in _CHANGING:
        actions[name] = announcing(actions[name])
    handlers = seam(provisioners, "_RESOURCE_HANDLERS")
    for kind in ("LoadBalancer", "TargetGroup", "Listener", "ListenerRule"):
        for verb in ("create", "update", "delete"):
            handlers[_TYPE + kind][verb] = announcing(handlers[_TYPE + kind][verb])


def _associate() -> None:
    """A target group names the load balancers that use it: those, and no longer those that once did."""
    used: dict[str, set[str]] = {}
    for listener_arn, listener in alb._listeners.items():
        actions = list(listener.get("DefaultActions", []))
        for rule in alb._rules.values():
            if rule.get("ListenerArn") == listener_arn:
                actions += rule.get("Actions", [])
        for action in actions:
            for arn, _weight in translation.weights(action):
                used.setdefault(arn, set()).add(listener["LoadBalancerArn"])
    for arn, group in alb._tgs.items():
        group["LoadBalancerArns"] = sorted(used.get(arn, ()))
