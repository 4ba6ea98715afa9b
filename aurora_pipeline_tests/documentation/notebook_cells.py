"""Runs the code cells of a notebook one after another, as a kernel would, without one."""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any


def code_cells(notebook: Path) -> list[str]:
    """Source of each code cell, in order."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cells(cells: list[str]) -> list[list[dict[str, Any]]]:
    """Run cells in one namespace; returns each one's outputs in the form a notebook keeps them: text, value, figures."""
    from matplotlib import pyplot

    namespace: dict[str, Any] = {}
    outputs = []
    for number, source in enumerate(cells, start=1):
        body = ast.parse(source).body
        value = body.pop() if isinstance(body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module(body, []), f"<cell {number}>", "exec"), namespace)
            shown = value and eval(compile(ast.Expression(value.value), f"<cell {number}>", "eval"), namespace)
        found: list[dict[str, Any]] = []
        if printed.getvalue():
            found.append(
                {"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)}
            )
        if shown is not None and not source.rstrip().endswith(";"):
            data = {"text/plain": repr(shown).splitlines(keepends=True)}
            found.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
        for figure in map(pyplot.figure, pyplot.get_fignums()):
            picture = io.BytesIO()
            figure.savefig(picture, format="png", dpi=80, metadata={"Software": None})
            data = {"image/png": base64.b64encode(picture.getvalue()).decode()}
            found.append({"data": data, "metadata": {}, "output_type": "display_data"})
        pyplot.close("all")
        outputs.append(found)
    return outputs
