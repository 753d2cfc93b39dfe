"""Every error that Cutover raises on purpose; Lambda reports the class's name, the state machine matches it.

CutoverError
├── TransientError      the state machine tries again
│   ├── ThrottledError
│   └── NotReachableError
├── TerminalError       the state machine rolls back
│   └── …one class for each thing that a person would do something different about
└── ConflictError       never leaves a step: the journal changed between a read and a write
"""

from __future__ import annotations


class CutoverError(Exception):
    """Something that Cutover knows how to name."""


class TransientError(CutoverError):
    """The same call may well succeed in a moment."""


class ThrottledError(TransientError):
    """AWS asked for fewer calls."""


class NotReachableError(TransientError):
    """The other side did not answer: a refused connection, a time-out, a server error of AWS."""


class TerminalError(CutoverError):
    """Trying again would fail again."""


class InvalidInputError(TerminalError):
    """The execution's input is not one that this machine takes."""


class UnfitConfigurationError(TerminalError):
    """The configuration asks for what AWS does not have, or what another account has; fields are named."""


class WrongEnvironmentError(TerminalError):
    """The input names an environment that another control plane serves."""


class LockHeldError(TerminalError):
    """Another deployment is under way."""


class FrozenError(TerminalError):
    """Somebody has frozen the environment; the message says who, why and how to end it."""


class LockLostError(TerminalError):
    """This deployment's lock was taken over; nothing more may be written in its name."""


class ImageNotFoundError(TerminalError):
    """The registry holds no such image."""


class SourceNotFoundError(TerminalError):
    """The artifacts bucket holds no such source."""


class SourceChangedError(TerminalError):
    """A source is not the zip that its name says."""


class PlanNotFoundError(TerminalError):
    """No plan of that digest was kept, or the one that was is not the one that was sealed."""


class PlanChangedError(TerminalError):
    """What the plan was made of is not what is there now; the message names every input that changed."""


class ApprovalRejectedError(TerminalError):
    """A person has said no; the message says who, when and why."""


class ApprovalExpiredError(TerminalError):
    """Nobody approved in time."""


class NotWaitingError(TerminalError):
    """The deployment does not wait for an approval: there is none of that id, or it has its answer."""


class ChangeSetFailedError(TerminalError):
    """CloudFormation could not compute what it would change."""


class DestructiveChangeError(TerminalError):
    """The change set would replace or delete what can't be brought back, and nobody allowed it by name."""


class StackFailedError(TerminalError):
    """CloudFormation could not bring the environment's stack to where it was asked to."""


class BuildFailedError(TerminalError):
    """The image could not be built."""


class ReleaseFailedError(TerminalError):
    """The release script failed on an instance."""


class UnhealthyTargetsError(TerminalError):
    """A colour has no (or not enough) healthy targets in the balancer's eyes."""


class GateFailedError(TerminalError):
    """A gate that must be open is not."""


class DataPlaneNotProvedError(TerminalError):
    """The balancer's answers did not carry the new version often enough in a row."""


class NothingToRollBackError(TerminalError):
    """There is no previous release to go back to."""


class OutsideWindowError(TerminalError):
    """The hour is not one in which this environment is deployed to."""


class RotationRefusedError(TerminalError):
    """A new password would lock out a release that may serve."""


class MisconfiguredError(TerminalError):
    """A function's environment, a secret or a stack's outputs lack something that they must have."""


class MigrationRefusedError(TerminalError):
    """A migration would be dangerous, or is not the one that was applied. Nothing was changed; the message
    says of each what to do."""


class MigrationFailedError(TerminalError):
    """A migration's own code broke. What it had done is known, and the next attempt goes on from there."""


class AccessDeniedError(TerminalError):
    """AWS refused the call; the message is AWS's own and names the principal, the action and the resource."""


class ServiceRefusedError(TerminalError):
    """AWS refused the call for a reason that has no class of its own here; the message is AWS's own."""


class ConflictError(CutoverError):
    """What a write expected to find in the journal is not what is there."""
