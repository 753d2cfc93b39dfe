"""What the demo says users saw."""

from sandbox.demo.traffic import Report


def test_failures_are_told_with_their_version_and_time():
    report = Report()
    report.add(10.0, 0.01, "v1", None)
    report.add(10.1, 0.02, "v2", "status 500")
    document = report.document(10.2, {})
    assert (document["answers"], document["failed"]) == (2, 1)
    assert document["failures"] == [(10.1, "v2", "status 500")]
    assert document["versions"]["v2"]["first_at"] == 10.1


def test_requests_without_any_answer_count_as_failed():
    assert Report().document(1.0, {"reset": 3})["failed"] == 3


def test_the_split_is_that_of_the_last_second():
    report = Report()
    report.add(1.0, 0.01, "v1", None)
    report.add(5.0, 0.01, "v2", None)
    assert report.document(5.5, {})["split"] == {"v2": 1}


def test_a_second_with_no_answer_has_no_latency():
    assert Report().document(1.0, {})["p95_ms"] is None
