"""docs/environment.md tells what the template has."""

import json

from stacks.environment_table import FILE, drawn, written


def bodies(synthesised):
    return {
        name: json.loads(template.paths[0].read_text()) for name, template in synthesised.templates.items()
    }


def test_the_document_is_what_the_template_says(staging):
    text = FILE.read_text(encoding="utf-8")
    assert written(text, bodies(staging)) == text, "run: python -m stacks.environment_table"


def test_every_resource_has_a_row(staging):
    text = drawn(bodies(staging))
    for id in staging.environment.resources:
        assert f"| `{id}` |" in text


def test_the_diagram_shows_every_way_between_two_groups(staging):
    text = drawn(bodies(staging))
    for arrow in (
        "anywhere -- 443 --> balancer",
        "balancer -- 8000-8002 --> backend",
        "balancer -- 80 --> frontend",
        "balancer -- 443 --> frontend",
        "frontend -- 8000 --> backend",
        "monitoring -- 9090 --> backend",
        "backend -- 27017 --> database",
        "backend -- 6379 --> cache",
        "functions -- 27017 --> database",
    ):
        assert f"  {arrow}\n" in text
