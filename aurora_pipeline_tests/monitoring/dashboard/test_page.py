import re
from html.parser import HTMLParser

import pytest

from aurora_pipeline.monitoring.dashboard.charts import drawn
from aurora_pipeline.monitoring.dashboard.page import Heading, page_html, panel_html, text_html, version
from aurora_pipeline.monitoring.dashboard.panel import (
    Absent,
    Chart,
    Fact,
    Facts,
    Note,
    Panel,
    Rows,
    Tagged,
    bps,
    interval,
    number,
    percent,
)
from aurora_pipeline.monitoring.performance_dashboard import GROUPS, PANELS, rendered
from aurora_pipeline.reports.dashboard.inputs import SOURCES

PANEL = Panel("one", "One & only", "What?", (), lambda: [], ("portfolio",))
VOID = {"meta", "link", "br"}


class Nesting(HTMLParser):
    """Fails where a tag is not closed in order, and collects ids."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(html):
    parser = Nesting()
    parser.feed(html)
    assert parser.open == []
    return parser


def test_a_page_is_well_formed_and_its_ids_are_unique():
    def draw(axes):
        axes.plot([0, 1], [0, 1], label="x < y")
        axes.legend()

    chart = Chart(drawn(draw), "a line")
    panels = [
        (panel, panel_html(panel, [chart, Note("see `aurora run`")], synthetic=True)) for panel in (PANEL, PANELS[0])
    ]
    heading = Heading("T", "facts", "made", True, (("a", "b"),))
    for served in (True, False):
        page = page_html(heading, [("G", panels)], served=served)
        ids = parsed(page).ids
        charts_own = [name for name in ids if re.fullmatch(r"[mp][0-9a-f]{10}", name)]
        others = [name for name in ids if name not in charts_own]
        assert len(set(others)) == len(others)
        assert ("<script>" in page) is served
        assert "http://" not in page.replace("http://127.0.0.1", "").replace("http://www.w3.org", "")


def test_text_is_escaped_and_commands_are_marked():
    table = Rows(("name",), (("<script>",), (Tagged("bad & worse", "bad"),)))
    html = panel_html(PANEL, [table, Note("do `a<b`"), Absent("no <b>", "aurora run")], synthetic=False)
    assert "<script>" not in html
    assert '<span class="bad">bad &amp; worse</span>' in html
    assert "<code>a&lt;b</code>" in html
    assert "No &lt;b&gt;. It is filled by <code>aurora run</code>" in html
    assert "SYNTHETIC" not in html


def test_every_panel_of_a_synthetic_market_and_the_page_itself_say_so():
    html = panel_html(PANEL, [Facts((Fact("a", "1"),))], synthetic=True)
    assert html.count(">SYNTHETIC<") == 1
    page = page_html(Heading("T", "", "", True), [("G", [(PANEL, html)])], served=False)
    assert "<title>T (SYNTHETIC)</title>" in page
    assert page.count(">SYNTHETIC<") == 2


def test_a_digest_and_the_version_change_with_the_numbers_only():
    one, same, other = (panel_html(PANEL, [Facts((Fact("a", value),))], synthetic=False) for value in "112")
    digest = re.compile(r'data-digest="(\w+)"')
    assert digest.findall(one) == digest.findall(same) != digest.findall(other)
    assert version([("G", [(PANEL, one)])]) == version([("G", [(PANEL, same)])]) != version([("G", [(PANEL, other)])])


def test_columns_of_numbers_are_aligned_right():
    html = panel_html(PANEL, [Rows(("name", "value"), (("a", "−1.50 %"), ("b", "–"), ("c", "+3")))], synthetic=False)
    assert '<th scope="col" class="n">value</th>' in html
    assert '<th scope="col">name</th>' in html


def test_a_short_cell_stays_on_one_line_and_a_sentence_may_break():
    cells = ("2024-12-31 21:00", "0.1076 (0.096 to 0.120)", "3 sound sessions in a row")
    html = panel_html(PANEL, [Rows(("when", "ic", "why"), (cells,))], synthetic=False)
    assert [f'<td class="s">{cell}</td>' in html for cell in cells] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.035 to 0.063", "−0.035 to 0.063"),
        ("difference -2, -3 to +1 (-4 %)", "difference −2, −3 to +1 (−4 %)"),
        ("2024-12-18 to 2024-12-20 of us64-5min-2025", "2024-12-18 to 2024-12-20 of us64-5min-2025"),
        ("see `aurora prove --seeds -1`: -1", "see <code>aurora prove --seeds -1</code>: −1"),
    ],
)
def test_negative_numbers_of_a_text_have_the_minus_sign_of_the_figures(text, expected):
    assert text_html(text) == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(1234.5678, 1), "1,234.6"),
        (number(-0.0001, 2), "0.00"),
        (number(-2.0, 1), "−2.0"),
        (number(None), "–"),
        (number(float("nan")), "–"),
        (percent(0.0123, 1), "1.2 %"),
        (bps(-0.00015, 1), "−1.5 bps"),
        (percent(None), "–"),
        (interval(0.1, None, percent), ""),
        (interval(0.1, 0.2, percent), "95 %: 10.0 % to 20.0 %"),
    ],
)
def test_numbers_are_shown_with_units_and_never_invented(shown, expected):
    assert shown == expected


def test_every_panel_reads_what_there_is_a_source_for():
    assert len({panel.key for panel in PANELS}) == len(PANELS) >= 15
    assert sum(len(panels) for _, panels in GROUPS) == len(PANELS)
    assert {name for panel in PANELS for name in panel.reads} == set(SOURCES)


def test_a_panel_that_cannot_be_drawn_says_why_and_leaves_the_others_alone(caplog):
    broken = Panel("b", "B", "?", ("x",), lambda x: 1 / x)
    html = rendered(broken, lambda name: 0, synthetic=False)
    assert "could not be drawn, ZeroDivisionError: division by zero" in html
    assert "panel b" in caplog.text
