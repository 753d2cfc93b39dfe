"""The words of reports, in English and Korean: (English, Korean) by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from cutover.domain.gates import Unit, shown

Locale = Literal["en", "ko"]
LOCALES: tuple[Locale, ...] = ("en", "ko")

WORDS: Mapping[str, tuple[str, str]] = {
    # titles
    "checkpoint": ("One-hour checkpoint", "1시간 점검 보고서"),
    "daily": ("24-hour report", "24시간 보고서"),
    "weekly": ("Weekly report", "주간 보고서"),
    "trend": ("Trends", "추세"),
    # sections
    "latency": ("Response times", "응답 시간"),
    "traffic": ("Requests and errors", "요청과 오류"),
    "resources": ("Resources", "자원 사용"),
    "database": ("Database and cache", "데이터베이스와 캐시"),
    "summary": ("1. Metric summary", "1. 지표 요약"),
    "error_analysis": ("2. Error analysis", "2. 오류 분석"),
    "user_feedback": ("3. User feedback", "3. 사용자 의견"),
    "improvement": ("4. Improvements", "4. 개선 사항"),
    "production": ("5. Production readiness", "5. 운영 준비도"),
    "delivery": ("Delivery (DORA)", "배포 성과 (DORA)"),
    # what is measured
    "p50": ("p50 response time", "응답 시간 p50"),
    "p95": ("p95 response time", "응답 시간 p95"),
    "p99": ("p99 response time", "응답 시간 p99"),
    "throughput": ("Throughput", "처리량"),
    "error_rate": ("Error rate", "오류율"),
    "errors": ("Error rate", "오류율"),
    "requests": ("Requests", "요청 수"),
    "error_count": ("Answers with 5xx", "5xx 응답 수"),
    "balancer_errors": ("5xx of the balancer itself", "로드 밸런서 자체의 5xx"),
    "availability": ("Availability", "가용성"),
    "cpu": ("CPU", "CPU"),
    "memory": ("Memory", "메모리"),
    "database_cpu": ("Database CPU", "데이터베이스 CPU"),
    "database_connections": ("Database connections", "데이터베이스 연결 수"),
    "database_hit": ("Database buffer hit", "데이터베이스 버퍼 적중률"),
    "cache_hit": ("Cache hit", "캐시 적중률"),
    "findings": ("Critical and high findings", "심각·높음 취약점"),
    "seen": ("Share of the time that was seen", "관측된 시간의 비율"),
    "kept": ("Rollbacks", "롤백 횟수"),
    "feedback": ("Feedback", "사용자 의견"),
    # table heads
    "what": ("", ""),
    "mean": ("mean", "평균"),
    "median": ("median", "중앙값"),
    "worst": ("worst or peak", "최악·최고"),
    "when": ("at", "시각"),
    "found": ("found", "실측"),
    "wanted": ("wanted", "기준"),
    "verdict": ("verdict", "판정"),
    "must": ("must", "필수"),
    "should": ("should", "권장"),
    "value": ("value", "값"),
    "rests_on": ("rests on", "근거"),
    "since": ("from", "시작"),
    "until": ("to", "끝"),
    # verdicts
    "Pass": ("pass", "통과"),
    "Fail": ("FAIL", "실패"),
    "Inconclusive": ("no data", "판단 불가"),
    "ready": ("READY for production", "운영 준비 완료"),
    "not_ready": ("NOT READY for production", "운영 준비 안 됨"),
    "undecided": ("UNDECIDED: not everything could be seen", "판단 보류: 확인하지 못한 항목이 있음"),
    # directions
    "rising": ("rises", "상승"),
    "falling": ("falls", "하락"),
    "steady": ("no trend that could be told from chance", "우연과 구별되는 추세 없음"),
    "unknown": ("too little data to say", "판단하기에 데이터 부족"),
    "per_hour": ("an hour", "시간당"),
    "per_day": ("a day", "일당"),
    # sentences
    "no_data": ("no data", "데이터 없음"),
    "nothing_live": (
        "Nothing was live in this time: there is nothing to report on.",
        "이 기간에는 서비스 중인 버전이 없었습니다. 보고할 내용이 없습니다.",
    ),
    "empty": (
        "No data: in none of the {wanted} periods did anybody count requests. Nothing is known of this time; "
        "it is not the same as no requests.",
        "데이터 없음: {wanted}개 구간 중 어느 구간에서도 요청이 집계되지 않았습니다. 요청이 없었다는 뜻이 "
        "아니라, 이 기간에 대해 알 수 없다는 뜻입니다.",
    ),
    "gaps": (
        "No data for {missing} of {wanted} periods of {seconds} s; all figures are of the others:",
        "{seconds}초 구간 {wanted}개 중 {missing}개에 데이터가 없습니다. 모든 수치는 나머지 구간의 것입니다:",
    ),
    "complete": (
        "All {wanted} periods of {seconds} s were seen.",
        "{seconds}초 구간 {wanted}개가 모두 관측되었습니다.",
    ),
    "more_gaps": ("… and {count} more", "… 외 {count}건"),
    "release": ("Version {version} is live since {at}.", "버전 {version}이(가) {at}부터 서비스 중입니다."),
    "release_back": (
        "Version {version} is live again since {at}, after a rollback.",
        "롤백 후 버전 {version}이(가) {at}부터 다시 서비스 중입니다.",
    ),
    "slope": (
        "{name}: {slope} {per} ({confidence} interval {low} to {high}, from {blocks} values): {direction}",
        "{name}: {per} {slope} ({confidence} 신뢰구간 {low} ~ {high}, 값 {blocks}개): {direction}",
    ),
    "slope_alone": (
        "{name}: {slope} {per} from {blocks} values, too few for an interval",
        "{name}: {per} {slope} (값 {blocks}개, 신뢰구간을 구하기에 부족)",
    ),
    "no_slope": ("{name}: too little data for a slope", "{name}: 기울기를 구하기에 데이터 부족"),
    "change": ("{name}: from {before} to {after} at {at}", "{name}: {at}에 {before}에서 {after}(으)로 변화"),
    "no_change": ("{name}: no change of level", "{name}: 수준 변화 없음"),
    "few_for_change": (
        "{name}: too little data to look for changes of level",
        "{name}: 수준 변화를 찾기에 데이터 부족",
    ),
    "no_errors": ("No answer with 5xx was counted.", "집계된 5xx 응답이 없습니다."),
    "errors_unknown": (
        "Nobody counted errors in this time.",
        "이 기간에는 오류가 집계되지 않았습니다.",
    ),
    "error_window": (
        "{since} – {until}: {errors} of {requests} answers were 5xx ({share})",
        "{since} – {until}: 응답 {requests}건 중 {errors}건이 5xx ({share})",
    ),
    "no_log": (
        "No error log was read.",
        "오류 로그를 읽지 않았습니다.",
    ),
    "log_unread": (
        "The error log could not be read; it is in Kibana, too (--error-log reads an export of it).",
        "오류 로그를 읽지 못했습니다. Kibana에도 있습니다(--error-log로 내보낸 파일을 읽습니다).",
    ),
    "log_count": (
        "Error log ({origin}): {errors} lines in {kinds} patterns, {unreadable} lines that could not be read",
        "오류 로그({origin}): {errors}줄, 유형 {kinds}개, 읽을 수 없는 줄 {unreadable}개",
    ),
    "log_file": ("of a file", "파일"),
    "log_instances": (
        "of {answered} of {asked} instances",
        "인스턴스 {asked}개 중 {answered}개",
    ),
    "log_problem": ("A log that could not be read: {why}", "읽지 못한 로그: {why}"),
    "log_kept": (
        "On the {colour} instances the log reaches back to {since} only: a newer release has replaced the "
        "containers that ran before",
        "{colour} 인스턴스의 로그는 {since} 이후만 남아 있습니다. 이전 컨테이너는 새 릴리스로 교체되었습니다",
    ),
    "log_pattern": ("{count} × {pattern} ({first} – {last})", "{count}건 × {pattern} ({first} – {last})"),
    "more_windows": ("… and {count} shorter times", "… 외 {count}개 구간"),
    "rolled_back": (
        "Version {version} was rolled back at {at}: {cause}",
        "버전 {version}이(가) {at}에 롤백됨: {cause}",
    ),
    "no_feedback": ("Nobody has written anything.", "접수된 의견이 없습니다."),
    "feedback_count": (
        "{total} messages: {good} good, {bad} bad",
        "의견 {total}건: 좋음 {good}건, 나쁨 {bad}건",
    ),
    "no_improvement": ("Nothing stands out.", "눈에 띄는 사항이 없습니다."),
    "missed": ("{name} misses its limit: {advice}", "{name}: 기준 미달. {advice}"),
    "unseen": ("{name} could not be judged: {advice}", "{name}: 판단 불가. {advice}"),
    "changed": (
        "{name} went up at {at}: look at what changed then",
        "{name}이(가) {at}에 높아졌습니다. 그때 무엇이 바뀌었는지 확인하십시오",
    ),
    "rising_advice": (
        "{name} rises steadily: find out why before it meets its limit",
        "{name}이(가) 계속 상승합니다. 기준에 닿기 전에 원인을 확인하십시오",
    ),
    "unhappy": (
        "more users are unhappy than happy: read what they wrote",
        "불만족 의견이 더 많습니다. 의견을 확인하십시오",
    ),
    # advice by measure; `advice_unseen` where nothing was seen
    "advice_p50": (
        "see docs/performance.md, and the slowest routes in Grafana",
        "docs/performance.md와 Grafana의 느린 경로를 확인하십시오",
    ),
    "advice_p95": (
        "see docs/performance.md, and the slowest routes in Grafana",
        "docs/performance.md와 Grafana의 느린 경로를 확인하십시오",
    ),
    "advice_p99": (
        "see docs/performance.md, and the slowest routes in Grafana",
        "docs/performance.md와 Grafana의 느린 경로를 확인하십시오",
    ),
    "advice_errors": (
        "search Kibana for level ERROR in the times above",
        "위 시간대의 ERROR 로그를 Kibana에서 확인하십시오",
    ),
    "advice_availability": (
        "see docs/runbook.md, errors and health",
        "docs/runbook.ko.md의 errors, health 항목을 확인하십시오",
    ),
    "advice_cpu": (
        "more or larger instances: [backend] in the configuration",
        "인스턴스를 늘리거나 키우십시오: 설정의 [backend]",
    ),
    "advice_memory": (
        "look for a leak, or take larger instances",
        "메모리 누수를 확인하거나 인스턴스를 키우십시오",
    ),
    "advice_cache_hit": (
        "longer lifetimes (CACHE_TTL), or more memory for the cache",
        "캐시 유효 시간(CACHE_TTL)이나 캐시 메모리를 늘리십시오",
    ),
    "advice_findings": (
        "update the packages that the image's scan names",
        "이미지 스캔이 지목한 패키지를 갱신하십시오",
    ),
    "advice_seen": (
        "see why the metrics were not published: docs/runbook.md, fast-silence",
        "지표가 발행되지 않은 원인을 확인하십시오: docs/runbook.ko.md의 fast-silence",
    ),
    "advice_kept": (
        "read the rollback's cause: cutover history",
        "롤백 원인을 확인하십시오: cutover history",
    ),
    "advice_unseen": (
        "CloudWatch has no data of it for this time",
        "이 기간의 데이터가 CloudWatch에 없습니다",
    ),
    "advice_unscanned": (
        "the deployment has no scan of its image on record",
        "이 배포의 이미지 스캔 기록이 없습니다",
    ),
    # DORA
    "frequency": ("Deployment frequency", "배포 빈도"),
    "lead": ("Lead time for changes", "변경 리드 타임"),
    "failure": ("Change failure rate", "변경 실패율"),
    "restore": ("Time to restore service", "서비스 복구 시간"),
    "restores_from": (
        "{all}; from the first bad request: {count}, from the alarm: the others",
        "{all}건, 그중 첫 오류부터 {count}건, 나머지는 알람부터",
    ),
    "per_day_count": ("{value} a day", "하루 {value}회"),
    "of": ("{count} of {all}", "{all}건 중 {count}건"),
    "seconds": ("{value} s", "{value}초"),
}


@dataclass(frozen=True)
class Speech:
    """One language and one time zone."""

    locale: Locale
    zone: str

    def say(self, key: str, **values: Any) -> str:
        """The words of the key, with the values in. An unknown key is a mistake of ours: KeyError."""
        return WORDS[key][LOCALES.index(self.locale)].format(**values)

    def when(self, moment: str) -> str:
        """A moment of the document (ISO 8601) in the time zone: 2026-03-04 13:05 KST."""
        local = datetime.fromisoformat(moment).astimezone(ZoneInfo(self.zone))
        return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"

    def amount(self, value: float | None, unit: str) -> str:
        """180 ms, 0.02%, 12.5/s (초당 in Korean)."""
        if value is None:
            return self.say("no_data")
        if unit == Unit.PER_SECOND:
            return f"{value:,.4g}/s" if self.locale == "en" else f"초당 {value:,.4g}"
        if unit == Unit.MILLISECONDS and abs(value) < 1 and value:
            return f"{value:.3g} ms"
        return shown(value, Unit(unit))

    def change(self, value: float, unit: str) -> str:
        """An amount with its sign. Shares change by percentage points."""
        sign = "+" if value > 0 else "−" if value < 0 else "±"
        if unit == Unit.SHARE:
            return f"{sign}{abs(value) * 100:.3g} {'points' if self.locale == 'en' else '%p'}"
        if unit == Unit.PER_SECOND and self.locale == "ko":
            return f"초당 {sign}{abs(value):,.4g}"
        return sign + self.amount(abs(value), unit)
