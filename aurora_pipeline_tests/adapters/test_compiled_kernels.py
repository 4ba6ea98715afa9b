"""The list of kernel versions that set-up compiles."""

import json
import os
import subprocess
import sys

import pytest
from numba import types

from aurora_pipeline.adapters import compiled_kernels
from aurora_pipeline.adapters.compiled_kernels import SIGNATURES, decode, encode
from aurora_pipeline.policy.interior_point import Problem, solve

LISTED = json.loads(SIGNATURES.read_text(encoding="utf-8"))
LAST_USE = (
    "import sys, numpy as np\n"
    "from aurora_pipeline.adapters import compiled_kernels\n"
    "from aurora_pipeline.monitoring.distribution_shift import distribution_shift\n"
)


def test_every_listed_kernel_is_there_and_its_types_are_understood():
    for name, versions in LISTED.items():
        assert hasattr(compiled_kernels._named(name), "py_func"), name
        for version in versions:
            for written in version:
                assert encode(decode(written)) == written, (name, written)
    assert compiled_kernels.encode(types.NamedTuple([types.int64], Problem))["tuple"].endswith(":Problem")
    assert f"{solve.py_func.__module__}:solve" in LISTED


@pytest.mark.parametrize(
    "argument",
    [
        types.int64,
        types.boolean,
        types.Array(types.float32, 2, "A", readonly=True),
        types.Array(types.boolean, 1, "C"),
        types.NamedTuple([types.float64, types.Array(types.int64, 1, "C")], Problem),
    ],
)
def test_types_come_back_from_json_as_they_were(argument):
    assert decode(json.loads(json.dumps(encode(argument)))) == argument


def test_what_was_compiled_ahead_is_not_compiled_again(tmp_path):
    name = "aurora_pipeline.monitoring.distribution_shift:_compare"
    cache = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    ahead = f"{LAST_USE}print(compiled_kernels._compile({{{name!r}: {LISTED[name]!r}}}))\n"
    done = subprocess.run([sys.executable, "-c", ahead], env=cache, capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(LISTED[name])
    use = (
        f"{LAST_USE}from aurora_pipeline.monitoring.distribution_shift import _compare\n"
        "distribution_shift(np.ones((1, 4)), np.ones((1, 4)))\n"
        "print(sum(_compare.stats.cache_hits.values()), sum(_compare.stats.cache_misses.values()))\n"
    )
    done = subprocess.run([sys.executable, "-c", use], env=cache, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]
