import re

import pytest

from aurora_pipeline_tests.documentation.documented_commands import (
    REPOSITORY,
    UnknownCommandError,
    UsageError,
    fenced,
    inline,
    known,
    pages,
    parse,
)

PAGE = """
Run `aurora sql "select 1"` or `aurora models list --home H`.

```
aurora run --home H        # it's a comment, aurora soak
aurora import bars.csv M --column symbol=ticker \\
    --bar-label end
aurora prove --seeds 1-2 && aurora claims > claims.txt
AURORA_HOME=H .venv/bin/aurora health || echo dead
*/5 * * * * aurora health --home H
from aurora_pipeline import open_home  # the aurora package
```
aurora is no command here.
"""


def test_commands_are_collected_from_fences_and_running_text():
    assert [found.words for found in fenced("page", PAGE)] == [
        ("run", "--home", "H"),
        ("import", "bars.csv", "M", "--column", "symbol=ticker", "--bar-label", "end"),
        ("prove", "--seeds", "1-2"),
        ("claims",),
        ("health",),
        ("health", "--home", "H"),
    ]
    assert [found.line for found in fenced("page", PAGE)][:2] == [5, 6]
    assert [found.words for found in inline("page", PAGE)] == [("sql", "select 1"), ("models", "list", "--home", "H")]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--hoem", "H"),
        ("models", "list", "--book", "live"),
        ("simulate",),
        ("soak", "--home", "H"),
        ("run", "--start", "yesterday"),
        ("live", "--speed", "fast"),
        ("models", "rollback", "ridge"),
    ],
)
def test_the_parser_refuses_what_the_command_line_would(words):
    with pytest.raises(UsageError):
        parse(words)


@pytest.mark.parametrize("words", [("runn",), ("models", "demote", "ridge")])
def test_a_command_that_does_not_exist_is_refused(words):
    with pytest.raises(UnknownCommandError, match=words[-1] if len(words) == 1 else words[1]):
        parse(words)


def test_an_inline_command_may_leave_things_out_but_not_invent_flags():
    known(("soak",))
    with pytest.raises(UnknownCommandError, match="--hours"):
        known(("soak", "--hours", "3"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_documented_command_exists_with_every_flag(page):
    name, text, wrong = page.relative_to(REPOSITORY).as_posix(), page.read_text(encoding="utf-8"), []
    for check, shown in ((parse, fenced(name, text)), (known, inline(name, text))):
        for each in shown:
            try:
                check(each.words)
            except (UsageError, UnknownCommandError) as error:
                wrong.append(f"{each}: {error}")
    assert not wrong, "\n".join(wrong)


def test_the_documentation_shows_commands_at_all():
    shown = {each.words[0] for page in pages() for each in fenced(page.name, page.read_text(encoding="utf-8"))}
    assert {"run", "check", "import", "live", "models", "kill", "claims", "explain"} <= shown


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    own = [target.partition("#")[0] for target in targets if "://" not in target]
    assert not [target for target in own if target and not (page.parent / target).exists()]


def test_the_index_leads_to_every_page():
    index = REPOSITORY / "docs" / "README.md"
    linked = {
        (index.parent / target).resolve()
        for target in re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))
        if "://" not in target
    }
    docs = index.parent
    written = {
        *docs.glob("*.md"),
        *docs.glob("*.ipynb"),
        *(docs / "guide").glob("*.md"),
        docs / "decisions" / "README.md",
    }
    assert {path.name for path in written - linked} <= {index.name}
