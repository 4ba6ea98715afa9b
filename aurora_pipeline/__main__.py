"""`python3 -m aurora_pipeline ...`: from a fresh clone to a running `aurora` with nothing but Python and pip.

In a checkout this makes `.venv`, installs the pinned and hashed dependencies of `constraints.txt` once, and hands over to the
`aurora` command in it; `test` runs the fast tests instead. In an installed package it is the `aurora` command itself. Only the
standard library is imported before the hand-over.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
ENVIRONMENT = CHECKOUT / ".venv"
PINS = CHECKOUT / "constraints.txt"
FAST_TESTS = ("-m", "pytest", "-m", "not slow", "-n", "2", "--dist", "loadscope")


def environment_python() -> Path:
    """Interpreter of the checkout's own environment."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install() -> None:
    """Make the environment if the pins changed since it was made."""
    digest = hashlib.sha256(PINS.read_bytes() + (CHECKOUT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = ENVIRONMENT / "aurora-pins.sha256"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    say(f"setting up {ENVIRONMENT} (once; a few minutes)")
    venv.create(ENVIRONMENT, with_pip=False, clear=False)
    pip = [sys.executable, "-m", "pip", "--python", str(environment_python()), "install", "--quiet", "--compile"]
    run([*pip, "--no-deps", "--require-hashes", "-r", str(PINS)])
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(CHECKOUT)])
    run([str(environment_python()), "-m", "compileall", "-q", str(CHECKOUT / "aurora_pipeline")])
    run([str(environment_python()), "-m", "aurora_pipeline.adapters.compiled_kernels"])
    stamp.write_text(digest, encoding="utf-8")


def run(command: list[str]) -> None:
    """Run a set-up step; end with its exit code if it fails."""
    done = subprocess.run(command, check=False, cwd=CHECKOUT)
    if done.returncode:
        say(f"failed: {' '.join(command)}")
        sys.exit(done.returncode)


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    sys.stderr.write(f"aurora: {text}\n")


def main() -> None:
    """Set up if needed, then hand over."""
    if not PINS.exists():
        from aurora_pipeline.cli import main as command_line

        command_line()
        return
    install()
    arguments = sys.argv[1:]
    if arguments[:1] == ["test"]:
        command = [str(environment_python()), *FAST_TESTS, *arguments[1:]]
    else:
        command = [str(environment_python()), "-m", "aurora_pipeline.cli", *arguments]
    sys.exit(subprocess.call(command, cwd=CHECKOUT if arguments[:1] == ["test"] else None))


if __name__ == "__main__":
    main()
