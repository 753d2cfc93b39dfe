"""Every text that people get, in both of their languages, and how moments are told to them.

A text's placeholders are named, and both languages have the same ones (a test holds that). `say` never fails
for a value that an event lacks: a notice with a dash in it is better than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

Locale = Literal["ko", "en"]
ZONE = ZoneInfo("Asia/Seoul")
MISSING = "–"
#: Longer values (a cause may hold a log) are cut: people get the beginning, the journal has the whole.
LONGEST = 600

ENGLISH: Mapping[str, str] = {
    "title": "{environment}: version {version}",
    "title.environment": "{environment}",
    "more": "Follow it here: {status_page}",
    "ReleaseAnnounced": "Version {version} will be released to {environment} at {opening}.",
    "ReleaseWithdrawn": "The release of version {version} to {environment} announced for {opening} will not take place.",
    "DeploymentStarted": "The deployment of version {version} to {environment} has begun ({mode}).",
    "PhaseCompleted": "Phase {number}, {name}: done, {passed} gates passed.",
    "GateFailed": "Phase {number}, {name}: a gate is closed. {gates}",
    "TrafficShifted": "{share}% of the traffic goes to version {version} on {colour}.",
    "DeploymentSucceeded": "Version {version} is live in {environment}.",
    "DeploymentPlanned": "The plan for version {version} is ready. Nothing was changed.",
    "EnvironmentVerified": "{environment} was looked at, and is as it should be.",
    "DeploymentFailed": "The deployment of version {version} to {environment} has failed: {cause}",
    "RolledBack": "Version {version} was taken back in {environment}; the traffic is on the previous release. {cause}",
    "RolledBack.restored": "{environment} is back on version {version}, by hand. {cause}",
    "RollbackRefused": "{environment} could NOT be rolled back: {reason} Somebody has to look now.",
    "DriftFound": "{environment} was changed by hand: {findings} findings, now {status}.",
    "ApprovalRequested": "The plan for version {version} waits for an approval until {expires}.",
    "ApprovalAnswered": "The plan was answered by {by}: {status}.",
    "Frozen": "{environment} is frozen by {by}: {reason}",
    "Unfrozen": "{environment} is open for deployments again ({by}).",
    "SchemaContracted": "The database schema was contracted after the watch of {deployment}.",
    "ContractionFailed": "The database schema could not be contracted after the watch of {deployment}: {cause}",
    "DrillStarted": "A drill in {environment} has begun: to the previous release and back.",
    "DrillCompleted": "The drill in {environment} is over: {verdict}. {cause}",
    "DrillFailed": "The drill in {environment} has failed: {cause}",
    "DrillStopped": "The drill in {environment} was stopped; the traffic is on the live release. {cause}",
    "GoDecided": "Go: every gate that has to be open is, for version {version}.",
    "ReportReady": "A report on {environment} is ready: {since} to {until}.",
    "users.ReleaseAnnounced": "The service will be updated to version {version} at {opening}. You can go on working meanwhile.",
    "users.ReleaseWithdrawn": "The update announced for {opening} will not take place.",
    "users.DeploymentSucceeded": "The service was updated to version {version}.",
    "users.RolledBack": "An update was taken back; the service runs on its previous version again.",
    "unknown": "{environment}: {kind} {deployment}",
    "subject.info": "[Cutover] {title}",
    "subject.important": "[Cutover] {title}",
    "subject.urgent": "[Cutover, urgent] {title}",
    "mode.deploy": "deployment",
    "mode.plan": "plan only",
    "mode.verify": "a look at the environment",
    "status.APPROVED": "approved",
    "status.REJECTED": "rejected",
    "status.restored": "put right",
}

KOREAN: Mapping[str, str] = {
    "title": "{environment}: 버전 {version}",
    "title.environment": "{environment}",
    "more": "진행 상황: {status_page}",
    "ReleaseAnnounced": "{opening}에 {environment} 환경에 버전 {version}을(를) 배포할 예정입니다.",
    "ReleaseWithdrawn": "{opening}로 예고된 {environment} 환경의 버전 {version} 배포가 취소되었습니다.",
    "DeploymentStarted": "{environment} 환경에 버전 {version} 배포를 시작했습니다 ({mode}).",
    "PhaseCompleted": "{number}단계 {name}: 완료, 게이트 {passed}개를 통과했습니다.",
    "GateFailed": "{number}단계 {name}: 게이트를 통과하지 못했습니다. {gates}",
    "TrafficShifted": "트래픽의 {share}%가 {colour}의 버전 {version}(으)로 전환되었습니다.",
    "DeploymentSucceeded": "{environment} 환경에서 버전 {version}이(가) 서비스 중입니다.",
    "DeploymentPlanned": "버전 {version}의 계획이 준비되었습니다. 변경된 것은 없습니다.",
    "EnvironmentVerified": "{environment} 환경을 점검했으며 이상이 없습니다.",
    "DeploymentFailed": "{environment} 환경의 버전 {version} 배포가 실패했습니다: {cause}",
    "RolledBack": "{environment} 환경에서 버전 {version}을(를) 되돌렸습니다. 트래픽은 이전 버전으로 돌아갔습니다. {cause}",
    "RolledBack.restored": "{environment} 환경을 수동으로 버전 {version}(으)로 되돌렸습니다. {cause}",
    "RollbackRefused": "{environment} 환경을 되돌리지 못했습니다: {reason} 지금 바로 확인해야 합니다.",
    "DriftFound": "{environment} 환경이 수동으로 변경되었습니다: {findings}건, 현재 상태 {status}.",
    "ApprovalRequested": "버전 {version}의 계획이 {expires}까지 승인을 기다립니다.",
    "ApprovalAnswered": "{by} 님이 계획에 답했습니다: {status}.",
    "Frozen": "{by} 님이 {environment} 환경을 동결했습니다: {reason}",
    "Unfrozen": "{environment} 환경에 다시 배포할 수 있습니다 ({by}).",
    "SchemaContracted": "{deployment}의 관찰이 끝나 데이터베이스 스키마를 정리했습니다.",
    "ContractionFailed": "{deployment}의 관찰 후 데이터베이스 스키마를 정리하지 못했습니다: {cause}",
    "DrillStarted": "{environment} 환경에서 복귀 훈련을 시작했습니다. 이전 버전으로 전환했다가 돌아옵니다.",
    "DrillCompleted": "{environment} 환경의 복귀 훈련이 끝났습니다: {verdict}. {cause}",
    "DrillFailed": "{environment} 환경의 복귀 훈련이 실패했습니다: {cause}",
    "DrillStopped": "{environment} 환경의 복귀 훈련이 중단되었습니다. 트래픽은 서비스 중인 버전에 있습니다. {cause}",
    "GoDecided": "버전 {version}: 필수 게이트를 모두 통과하여 배포를 결정했습니다.",
    "ReportReady": "{environment} 환경의 보고서가 준비되었습니다: {since} ~ {until}.",
    "users.ReleaseAnnounced": "{opening}에 서비스가 버전 {version}(으)로 업데이트됩니다. 업데이트 중에도 계속 이용하실 수 있습니다.",
    "users.ReleaseWithdrawn": "{opening}로 예고된 업데이트가 취소되었습니다.",
    "users.DeploymentSucceeded": "서비스가 버전 {version}(으)로 업데이트되었습니다.",
    "users.RolledBack": "업데이트를 되돌렸습니다. 서비스는 이전 버전으로 운영 중입니다.",
    "unknown": "{environment}: {kind} {deployment}",
    "subject.info": "[Cutover] {title}",
    "subject.important": "[Cutover] {title}",
    "subject.urgent": "[Cutover 긴급] {title}",
    "mode.deploy": "배포",
    "mode.plan": "계획만",
    "mode.verify": "환경 점검",
    "status.APPROVED": "승인",
    "status.REJECTED": "거절",
    "status.restored": "원상 복구됨",
}

CATALOGUE: Mapping[Locale, Mapping[str, str]] = {"en": ENGLISH, "ko": KOREAN}


class _Values(dict[str, object]):
    def __missing__(self, _key: str) -> str:
        return MISSING


def say(locale: Locale, key: str, values: Mapping[str, Any]) -> str:
    """The text of `key` with its values in it, each of them cut to LONGEST characters.

    Raises KeyError for a text that the catalogue does not have.
    """
    shown = {name: _shown(value) for name, value in values.items() if value is not None}
    return CATALOGUE[locale][key].format_map(_Values(shown))


def word(locale: Locale, family: str, name: object) -> str:
    """A word of ours that events carry, such as a mode; one that has no translation stays as it is."""
    return CATALOGUE[locale].get(f"{family}.{name}", str(name))


def moment(locale: Locale, at: str) -> str:
    """`at` (ISO 8601) in Seoul, to the minute; as it is when it is no moment."""
    try:
        local = datetime.fromisoformat(at).astimezone(ZONE)
    except ValueError:
        return at
    if locale == "ko":
        return f"{local.year}년 {local.month}월 {local.day}일 {local:%H:%M}"
    return f"{local.day} {local:%b %Y %H:%M} KST"


def _shown(value: object) -> object:
    return f"{value[: LONGEST - 1]}…" if isinstance(value, str) and len(value) > LONGEST else value
