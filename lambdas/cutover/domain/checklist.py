"""The checklists of the deployment plan, before, during and after (requirements G1, G2, G3), each line
answered by what the deployment left behind.

A line that only people can answer says so, and takes their answer. Nothing is Yes without evidence: a phase
that is not on record is Open, and a gate that could not judge is not a Yes either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cutover.domain.gates import Verdict, closed, sentence


class Answer(StrEnum):
    """How a line stands."""

    YES = "Yes"
    NO = "No"
    OPEN = "Open"
    FOR_PEOPLE = "For people"


@dataclass(frozen=True)
class Left:
    """What a deployment left behind: its record, its plan, what people answered, and the states of its alarms
    when it ended (None while that is not known)."""

    record: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    answers: Mapping[str, Mapping[str, Any]]
    alarms: Mapping[str, Any] | None


Finding = tuple[Answer, str]
Judge = Callable[[Left], Finding]


@dataclass(frozen=True)
class Line:
    """One line; `korean` is the deployment plan's own wording. Without `judge` it is for people."""

    id: str
    when: str
    text: str
    korean: str
    judge: Judge | None = None


def phase(number: int) -> Judge:
    """The phase is on record, and passed with its gates."""

    def look(left: Left) -> Finding:
        found = next((p for p in left.record.get("phases") or [] if int(p["number"]) == number), None)
        if found is None:
            return Answer.OPEN, f"phase {number} is not on record"
        gates = found.get("gates") or []
        shut = closed(gates)
        where = f"phase {number} ({found['name']})"
        if shut or found.get("verdict") != Verdict.PASS:
            return Answer.NO, f"{where}: {'; '.join(sentence(gate) for gate in shut) or found.get('verdict')}"
        return Answer.YES, f"{where}: {sum(g['verdict'] == Verdict.PASS for g in gates)} gates passed"

    return look


def measures(*names: str) -> Judge:
    """The Go/No-Go board's rows of these measures passed."""

    def look(left: Left) -> Finding:
        rows = {row["measure"]: row for row in (left.record.get("board") or {}).get("rows") or []}
        missing = [name for name in names if name not in rows]
        if missing:
            return Answer.OPEN, f"the Go/No-Go board has no row for {', '.join(missing)}"
        wrong = [sentence(rows[name]) for name in names if rows[name]["verdict"] != Verdict.PASS]
        if wrong:
            return Answer.NO, "; ".join(wrong)
        return Answer.YES, "; ".join(f"{rows[name]['name']} {rows[name]['found']}" for name in names)

    return look


def every(*judges: Judge) -> Judge:
    """The worst of them, with what all have to say."""

    def look(left: Left) -> Finding:
        found = [judge(left) for judge in judges]
        worst = next(a for a in (Answer.NO, Answer.OPEN, Answer.YES) if any(f[0] is a for f in found))
        return worst, "; ".join(words for answer, words in found if answer is worst)

    return look


def _planned(look: Callable[[Mapping[str, Any]], str | None], missing: str) -> Judge:
    """`look` finds the words in the plan, or nothing."""

    def judge(left: Left) -> Finding:
        if left.plan is None:
            return Answer.OPEN, "the deployment's plan can't be read"
        words = look(left.plan)
        return (
            (Answer.YES, f"plan {str(left.plan.get('sha256'))[:12]}: {words}")
            if words
            else (Answer.NO, missing)
        )

    return judge


def _migrations(plan: Mapping[str, Any]) -> str | None:
    migrations = plan.get("migrations")
    if not isinstance(migrations, Mapping) or migrations.get("refused"):
        return None
    return f"{len(migrations.get('steps') or [])} steps planned, none refused"


def _backup(plan: Mapping[str, Any]) -> str | None:
    backup = ((plan.get("configuration") or {}).get("window") or {}).get("backup") or {}
    if not backup or not plan.get("rollback"):
        return None
    when = f"{backup.get('day')} {backup.get('start')}-{backup.get('end')}"
    return f"backup on {when}, and the rollback is planned"


def _load(plan: Mapping[str, Any]) -> str | None:
    load = (plan.get("configuration") or {}).get("load") or {}
    if not load.get("requests_per_second"):
        return None
    return (
        f"{load['requests_per_second']} requests a second, {load.get('users')} users, {load.get('seconds')} s"
    )


def _board(left: Left) -> Finding:
    board = left.record.get("board")
    if not board:
        return Answer.OPEN, "the Go/No-Go board was not reached"
    shown = [words for each in board["personas"].values() for words in (*each["closed"], *each["shown"])]
    if board["verdict"] != "Go":
        return Answer.NO, "; ".join(shown)
    return Answer.YES, "Go by every persona" + (f"; short of a goal: {'; '.join(shown)}" if shown else "")


def _alarms(left: Left) -> Finding:
    if left.alarms is None:
        return Answer.OPEN, "the alarms' states at the end are not in the evidence yet"
    if "unread" in left.alarms:
        return Answer.NO, f"the alarms could not be read: {left.alarms['unread']}"
    missing = [name for name, state in left.alarms.items() if state is None]
    standing = [name for name, state in left.alarms.items() if state and state["state"] == "ALARM"]
    if missing or standing:
        return (
            Answer.NO,
            f"not there: {', '.join(missing) or 'none'}; in ALARM: {', '.join(standing) or 'none'}",
        )
    return Answer.YES, f"{len(left.alarms)} alarms are there, none in ALARM"


BEFORE, DURING, AFTER = "before", "during", "after"
LINES: Sequence[Line] = (
    Line(
        "G1.1",
        BEFORE,
        "All performance optimisations are applied",
        "모든 성능 최적화 적용 완료",
        measures("query_mean", "index_hit", "pool_use"),
    ),
    Line(
        "G1.2",
        BEFORE,
        "Security scans are done, without findings",
        "보안 스캔 완료 (취약점 0개)",
        measures("findings"),
    ),
    Line(
        "G1.3",
        BEFORE,
        "The migration scripts are verified",
        "데이터베이스 마이그레이션 스크립트 검증",
        every(_planned(_migrations, "the plan refuses the migrations"), phase(2)),
    ),
    Line(
        "G1.4",
        BEFORE,
        "Backup and rollback are planned",
        "백업 및 롤백 계획 수립",
        _planned(_backup, "the plan lacks the backup window or the way back"),
    ),
    Line("G1.5", BEFORE, "Monitoring and alerts are set", "모니터링 및 알림 설정 완료", phase(4)),
    Line(
        "G1.6",
        BEFORE,
        "The load scenario is ready",
        "부하 테스트 시나리오 준비",
        _planned(_load, "the configuration has no load"),
    ),
    Line("G2.1", DURING, "The infrastructure is provisioned", "인프라 프로비저닝 완료", phase(1)),
    Line("G2.2", DURING, "The database is migrated", "데이터베이스 마이그레이션 성공", phase(2)),
    Line("G2.3", DURING, "The application is deployed", "애플리케이션 배포 완료", phase(3)),
    Line("G2.4", DURING, "The health checks pass", "헬스체크 통과", every(phase(3), phase(7))),
    Line("G2.5", DURING, "The performance is verified", "성능 검증 완료", phase(6)),
    Line("G2.6", DURING, "The security is set", "보안 설정 완료", phase(5)),
    Line("G3.1", AFTER, "The smoke tests pass", "연기 테스트 통과", phase(7)),
    Line("G3.2", AFTER, "The performance KPIs are reached", "성능 KPI 달성", _board),
    Line("G3.3", AFTER, "Monitoring works", "모니터링 정상 동작", _alarms),
    Line("G3.4", AFTER, "User feedback is collected", "사용자 피드백 수집"),
    Line("G3.5", AFTER, "The documents are up to date", "문서 업데이트 완료"),
    Line("G3.6", AFTER, "The team has shared and reviewed it", "팀 공유 및 리뷰"),
)
#: What only people can answer, by the lines' ids.
FOR_PEOPLE: Mapping[str, str] = {line.id: line.text for line in LINES if line.judge is None}


def answer(left: Left) -> list[dict[str, Any]]:
    """[{id, when, text, korean, answer, evidence}] in the plan's order."""
    return [_told(line, left) for line in LINES]


def _told(line: Line, left: Left) -> dict[str, Any]:
    if line.judge is not None:
        verdict, words = line.judge(left)
    elif given := left.answers.get(line.id):
        verdict, words = Answer.YES, f"{given['by']} at {given['at']}: {given['note']}"
    else:
        verdict, words = Answer.FOR_PEOPLE, "nobody has answered yet"
    return {
        "id": line.id,
        "when": line.when,
        "text": line.text,
        "korean": line.korean,
        "answer": verdict.value,
        "evidence": words,
    }
