"""Counts the documentation states of the code: features, views, families, checks, mutants, promises, panels."""

import re

import pytest

from aurora_pipeline.features.leakage import FEATURE_CHECKS
from aurora_pipeline.features.registry import REGISTRY, VIEWS
from aurora_pipeline.models.label_leakage import LABEL_CHECKS
from aurora_pipeline.models.model_factory import FAMILIES
from aurora_pipeline.monitoring.claim_promises import PROMISES
from aurora_pipeline.monitoring.performance_dashboard import PANELS
from aurora_pipeline_tests.documentation.documented_commands import REPOSITORY
from aurora_pipeline_tests.features import test_leak_mutants

DOCS = REPOSITORY / "docs"
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MUTANTS = [name for name in vars(test_leak_mutants) if name.startswith("test_") and "clean_code" not in name]
LATE_VIEWS = [spec for spec in REGISTRY if spec.view in {"fundamental", "alternative"}]


def told(page, pattern):
    """Numbers a page states where a pattern's group is, in digits or as a word."""
    found = re.findall(pattern, page.read_text(encoding="utf-8"))
    return [WORDS.index(text.lower()) if text.lower() in WORDS else int(text) for text in found]


def rows_of(page, heading):
    """Rows of the first table below a heading, its head left out."""
    below = page.read_text(encoding="utf-8").partition(heading)[2]
    (table,) = re.findall(r"\n(\|.*?)\n(?!\|)", below, re.DOTALL)[:1]
    return table.splitlines()[2:]


@pytest.mark.parametrize(
    ("page", "pattern", "count"),
    [
        (DOCS / "features.md", r"^# [^\n]*\n\n(\d+) features", len(REGISTRY)),
        (DOCS / "features.md", r"features in (\w+) views", len(VIEWS)),
        (DOCS / "features.md", r"(\w+) checks at four decision times", len(FEATURE_CHECKS)),
        (DOCS / "features.md", r"(\w+) on labels", len(LABEL_CHECKS)),
        (DOCS / "guide" / "phase-1.md", r"- (\d+) features", len(REGISTRY)),
        (DOCS / "status.md", r"\| features \| 80\+ \| (\d+) \|", len(REGISTRY)),
        (DOCS / "status.md", r"\| views \| 5 \| (\d+) \|", len(VIEWS)),
        (DOCS / "status.md", r"\| model families \| 7\+ \| (\d+) \|", len(FAMILIES)),
        (DOCS / "status.md", r"\d+ of (\d+) \| \| met \| 0 \|", len(LATE_VIEWS)),
        (DOCS / "status.md", r"of the plan's (\d+) promises", len(PROMISES)),
        (DOCS / "architecture.md", r"residual returns, (\w+) views", len(VIEWS)),
        (DOCS / "architecture.md", r"folds, (\w+) families", len(FAMILIES)),
        (DOCS / "roadmap.md", r"(\w+) feature views", len(VIEWS)),
        (DOCS / "roadmap.md", r"views, (\w+) families", len(FAMILIES)),
        (REPOSITORY / "README.md", r"(\w+) model families", len(FAMILIES)),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else None,
)
def test_a_count_in_the_documentation_is_that_of_the_code(page, pattern, count):
    stated = told(page, pattern)
    assert stated, f"{page.name} no longer states it; take the line out of this test"
    assert set(stated) == {count}


def test_every_mutant_of_the_leak_checks_has_its_line():
    # Two of the tests are one mutant: a price level, on its way in and as a feature.
    mutants = len(MUTANTS) - 1
    page = DOCS / "features.md"
    assert told(page, r"(\w+) mutants, each put into the code") == [mutants]
    assert len(rows_of(page, "mutants, each put into the code")) == mutants
    assert told(DOCS / "status.md", r"(\d+) of \d+ mutants found") == [mutants]


def test_every_panel_of_the_dashboard_has_its_line():
    titles = [row.split("|")[1].strip() for row in rows_of(DOCS / "dashboard.md", "## Panels")]
    assert titles == [panel.title for panel in PANELS]


def test_verdicts_in_the_status_add_up_to_the_promises():
    rows = rows_of(DOCS / "status.md", "Verdicts: **met**")
    assert len(rows) == 4
    for row in rows:
        assert sum(map(int, row.split("|")[2:5])) == len(PROMISES)
