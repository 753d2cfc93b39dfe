"""What the demo says users saw."""

from collections import Counter

from cutover.adapters.load_generator import LoadResult
from sandbox.demo.traffic import Report


def test_failures_are_told_with_their_version_and_time():
    report = Report()
    report.add(9.9, 10.0, 0.01, "v1", None)
    report.add(10.0, 10.1, 0.02, "v2", "status 500")
    document = report.document(10.2, LoadResult())
    assert (document["answers"], document["failed"]) == (2, 1)
    assert document["failures"] == [(10.1, "v2", "status 500")]
    assert document["versions"]["v2"]["first_at"] == 10.1


def test_a_late_answer_does_not_make_its_request_a_late_one():
    report = Report()
    report.add(3.0, 3.1, 0.1, "v1", None)
    report.add(1.0, 4.0, 3.0, "v1", None)
    seen = report.document(4.1, LoadResult())["versions"]["v1"]
    assert (seen["last_sent_at"], seen["last_at"]) == (3.0, 4.0)


def test_requests_without_any_answer_count_as_failed():
    assert Report().document(1.0, LoadResult(errors=Counter(reset=3)))["failed"] == 3


def test_the_split_is_that_of_the_last_second():
    report = Report()
    report.add(0.9, 1.0, 0.01, "v1", None)
    report.add(4.9, 5.0, 0.01, "v2", None)
    assert report.document(5.5, LoadResult())["split"] == {"v2": 1}


def test_a_second_with_no_answer_has_no_latency():
    assert Report().document(1.0, LoadResult())["p95_ms"] is None
