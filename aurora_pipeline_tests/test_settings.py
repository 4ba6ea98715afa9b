import ast
import re
from pathlib import Path

import pytest

import aurora_pipeline
from aurora_pipeline.adapters.home import REPOSITORY
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.settings import Settings, known_keys, load_settings, save_settings, settings_markdown
from aurora_pipeline.settings.loading import NEAREST


def test_later_sources_win(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("book:\n  name_cap: 0.01\n  nav: 1000000\nseed: 3\n", encoding="utf-8")
    environment = {"AURORA_BOOK__NAME_CAP": "0.02", "AURORA_SEED": "4"}
    settings = load_settings(file, ["book.name_cap=0.03"], environment)
    assert (settings.book.name_cap, settings.book.nav, settings.seed) == (0.03, 1_000_000, 4)


@pytest.mark.parametrize(
    ("overrides", "environment", "message"),
    [
        (["book.nam_cap=0.1"], {}, "unknown key 'book.nam_cap'"),
        (["book.nmae_cap=0.1"], {}, "did you mean book.name_cap"),
        (["bok.name_cap=0.1"], {}, "did you mean book.name_cap?"),
        (["foo.bar=1"], {}, "unknown key 'foo.bar'; `aurora settings` lists all there are"),
        (["book=3"], {}, "'book' is a section, not a setting; set a key in it, such as book.nav="),
        (["book.name_cap=3"], {}, "book.name_cap = 3"),
        (["book.drawdown_flat=.inf"], {}, "book.drawdown_flat = inf: Input should be a finite number"),
        (["seed"], {}, "expected key=value"),
        (["models.families=[oracle]"], {}, "models.families"),
        (["models.families=ridge"], {}, "models.families = 'ridge': expected a list, such as models.families=[a, b]"),
        (["market.start=2025-02-30"], {}, "market.start"),
        ([], {"AURORA_BOOK__NAV": "-1"}, "AURORA_BOOK__NAV"),
        ([], {"AURORA_NO_SUCH": "1"}, "AURORA_NO_SUCH"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(overrides, environment, message):
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings(None, overrides, environment)


def test_an_unknown_key_of_the_file_names_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("book:\n  no_such: 1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"settings\.yaml: unknown key 'book\.no_such'"):
        load_settings(file, (), {})


@pytest.mark.parametrize("key", ["foo.bar", "cap", "book.cap", "lifecycle.x", "sessions"])
def test_few_keys_are_named_beside_an_unknown_one(key):
    with pytest.raises(SettingsError) as refused:
        load_settings(None, [f"{key}=1"], {})
    assert str(refused.value).count(" or ") < NEAREST
    assert len(str(refused.value)) < 160


def test_saved_settings_come_back_equal(tmp_path):
    settings = load_settings(None, ["book.name_cap=0.02", "market.start=2025-01-02", "horizon=1"], {})
    save_settings(settings, tmp_path / "settings.yaml")
    assert load_settings(tmp_path / "settings.yaml", (), {}) == settings


def test_defaults_follow_the_frequency():
    settings = Settings()
    assert (settings.horizon_bars("5min"), settings.horizon_bars("session")) == (78, 5)
    assert (settings.warm_up("5min"), settings.warm_up("session")) == (60, 504)
    assert settings.purge_bars("5min") == 79


def test_every_settings_key_is_read_somewhere_in_the_package():
    root = Path(aurora_pipeline.__file__).parent
    read = set()
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    unread = [key for key in known_keys() if key.rpartition(".")[2] not in read]
    assert not unread


def test_the_settings_page_is_the_one_the_command_makes():
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_markdown(), "make it anew: aurora settings --markdown > docs/settings.md"
