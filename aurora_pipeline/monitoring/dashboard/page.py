"""Panels as one HTML page that needs nothing but itself: no network, no font, no library in the browser.

Served, a script of a few lines asks every few seconds whether anything changed and replaces the panels that did; without
scripts the page reloads itself. Written to a file it has no script at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from aurora_pipeline.monitoring.dashboard.panel import (
    Absent,
    Block,
    Chart,
    Facts,
    Note,
    Panel,
    Rows,
    Tagged,
    true_minus,
)

DAGSTER = "http://127.0.0.1:3000"
MLFLOW = "http://127.0.0.1:5000"
SYNTHETIC = '<span class="synthetic" title="made by a generator; no result on it says anything of a real market">SYNTHETIC</span>'
RELOAD_SECONDS = 60
"""How often a served page reloads where scripts are off; with them it looks every 10 s."""
SHORT, FEW_WORDS = 26, 2
"""Letters, and words of letters alone, of a cell up to which it stays on one line."""
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
_NUMERIC = re.compile(r"[−+]?[\d.,]+(?: ?(?:%|bps|USD|ms))?$|–$|$")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Heading:
    """What stands above the panels.

    Attributes
    ----------
    title : str
        What the page is of.
    facts : str
        Span, book, frequency, in one line.
    made : str
        When it was made, and of what.
    synthetic : bool
        Whether the market was made by a generator.
    links : tuple of (str, str)
        Text and address of further pages.
    """

    title: str
    facts: str
    made: str
    synthetic: bool
    links: tuple[tuple[str, str], ...] = field(default=())


def panel_html(panel: Panel, blocks: Sequence[Block], *, synthetic: bool) -> str:
    """One panel; its digest says whether a later one differs."""
    body = "\n".join(_block(block) for block in blocks)
    label = f" {SYNTHETIC}" if synthetic else ""
    assets = ", ".join(f'<a href="{DAGSTER}/assets/{name}">{name}</a>' for name in panel.assets)
    origin = f'<footer class="links">from {assets}</footer>' if assets else ""
    content = f'<h3>{escape(panel.title)}{label}</h3><p class="asks">{escape(panel.asks)}</p>\n{body}\n{origin}'
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    wide = " wide" if panel.wide else ""
    return f'<section class="panel{wide}" id="{panel.key}" data-digest="{digest}">{content}</section>'


def page_html(heading: Heading, groups: Sequence[tuple[str, Sequence[tuple[Panel, str]]]], *, served: bool) -> str:
    """Write the whole page.

    Parameters
    ----------
    heading : Heading
        Above the panels.
    groups : sequence of (str, sequence of (Panel, str))
        Group name with its panels and their HTML.
    served : bool
        Whether a server answers the page's script.
    """
    label = SYNTHETIC if heading.synthetic else ""
    anchors = "".join(
        f'<a href="#{panel.key}">{escape(panel.title)}</a>' for _, panels in groups for panel, _ in panels
    )
    body = "".join(
        f'<h2>{escape(name)}</h2><div class="grid">{"".join(html for _, html in panels)}</div>'
        for name, panels in groups
    )
    links = " · ".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in heading.links)
    reload = f'<noscript><meta http-equiv="refresh" content="{RELOAD_SECONDS}"></noscript>' if served else ""
    return (
        f'<!doctype html><html lang="en" data-version="{version(groups)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(heading.title)}{' (SYNTHETIC)' if heading.synthetic else ''}</title>{reload}"
        f"<style>{STYLE}</style></head><body>"
        f'<header><h1>{escape(heading.title)} {label}</h1><p>{escape(heading.facts)}</p><p class="links">{links}</p>'
        f'<p><span id="made">{escape(heading.made)}</span> <span id="fresh" class="bad"></span></p></header>'
        f'<nav aria-label="Panels">{anchors}</nav>'
        f"<main>{body}</main>{f'<script>{SCRIPT}</script>' if served else ''}</body></html>\n"
    )


def version(groups: Sequence[tuple[str, Sequence[tuple[Panel, str]]]]) -> str:
    """Hash of every panel: changes when anything on the page does."""
    text = "".join(html for _, panels in groups for _, html in panels)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _block(block: Block) -> str:
    if isinstance(block, Facts):
        parts = (
            f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}<small>{text_html(fact.note)}</small></dd></div>"
            for fact in block.facts
        )
        return f'<dl class="facts">{"".join(parts)}</dl>'
    if isinstance(block, Rows):
        return _table(block)
    if isinstance(block, Chart):
        return f"<figure>{block.svg}<figcaption>{escape(block.shows)}</figcaption></figure>"
    if isinstance(block, Absent):
        why = escape(block.why[:1].upper() + block.why[1:])
        filled = f" It is filled by <code>{escape(block.command)}</code>" if block.command else ""
        return f'<p class="absent">{why}.{filled}</p>'
    assert isinstance(block, Note)
    return f'<p class="note">{text_html(block.text)}</p>'


def _table(rows: Rows) -> str:
    if not rows.rows:
        return f'<p class="note">{escape(rows.title)}: none.</p>'
    numeric = [all(_NUMERIC.match(row[index]) for row in rows.rows) for index in range(len(rows.columns))]
    classes = [' class="n"' if flag else "" for flag in numeric]
    head = "".join(
        f'<th scope="col"{mark}>{escape(name)}</th>' for mark, name in zip(classes, rows.columns, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cell, flag) for flag, cell in zip(numeric, row, strict=True)) + "</tr>"
        for row in rows.rows
    )
    caption = f"<caption>{escape(rows.title)}</caption>" if rows.title and not rows.folded else ""
    table = f'<div class="scroll" tabindex="0"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"<details><summary>{escape(rows.title)}</summary>{table}</details>" if rows.folded else table


def _cell(text: str, numeric: bool) -> str:
    kinds = [kind for kind, holds in (("n", numeric), ("s", _one_line(text))) if holds]
    inside = f'<span class="{text.tone}">{text_html(text)}</span>' if isinstance(text, Tagged) else text_html(text)
    return f'<td class="{" ".join(kinds)}">{inside}</td>' if kinds else f"<td>{inside}</td>"


def _one_line(text: str) -> bool:
    return len(text) <= SHORT and sum(word.isalpha() for word in text.split()) <= FEW_WORDS


def text_html(text: str) -> str:
    """Escape a text; what stands between backticks is a command, and elsewhere negative numbers get a true minus sign."""
    parts = _CODE.split(escape(str(text)))
    return "".join(f"<code>{part}</code>" if index % 2 else true_minus(part) for index, part in enumerate(parts))
