"""The kinds of values that several tables of a configuration have, and what every table has in common."""

from ipaddress import IPv4Network
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StringConstraints

from config.domain_name import domain_name


def _network(value: str) -> str:
    try:
        IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"is not an IPv4 network ({error}); write one like 10.1.0.0/16") from None
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is not a time zone; write one of the IANA database, like Asia/Seoul")
    return value


Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
TimeZone = Annotated[str, AfterValidator(_zone)]
Cidr = Annotated[str, AfterValidator(_network)]
Cidrs = Annotated[tuple[Cidr, ...], Strict(False)]
Port = Annotated[int, Field(ge=1, le=65535)]
# Policies that offer TLS 1.3 (requirement B7); the first also serves clients that stopped at TLS 1.2.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TlsPolicy = Literal["ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06"]
Ratio = Annotated[float, Field(gt=0, le=1)]
DomainName = Annotated[str, AfterValidator(domain_name)]
InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]


class Table(BaseModel):
    """A table of the file: unknown keys are refused, values are never coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
