"""What an instance of a type has, so that its usage can be told in percent.

Source: https://aws.amazon.com/ec2/instance-types/ (t3, m5, c5, r5: vCPU and memory columns).
"""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class InstanceType:
    vcpus: int
    memory_bytes: int


TYPES: dict[str, InstanceType] = {
    "t2.micro": InstanceType(1, 1 * GIB),
    "t3.nano": InstanceType(2, GIB // 2),
    "t3.micro": InstanceType(2, 1 * GIB),
    "t3.small": InstanceType(2, 2 * GIB),
    "t3.medium": InstanceType(2, 4 * GIB),
    "t3.large": InstanceType(2, 8 * GIB),
    "t3.xlarge": InstanceType(4, 16 * GIB),
    "t3.2xlarge": InstanceType(8, 32 * GIB),
    "m5.large": InstanceType(2, 8 * GIB),
    "m5.xlarge": InstanceType(4, 16 * GIB),
    "c5.large": InstanceType(2, 4 * GIB),
    "c5.xlarge": InstanceType(4, 8 * GIB),
    "r5.large": InstanceType(2, 16 * GIB),
}
