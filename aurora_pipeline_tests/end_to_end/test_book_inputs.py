"""Inputs of a book's sessions: the same in blocks of any size, here or in a process of their own."""

import numpy as np
import pytest

from aurora_pipeline import open_home
from aurora_pipeline.adapters.stage_inputs import book as book_inputs
from aurora_pipeline.adapters.stage_inputs.book import WORTH_A_PROCESS, read_ahead


def require_same(first, second):
    for name, value in vars(first).items():
        if name == "risk":
            require_same(value, second.risk)
        else:
            np.testing.assert_equal(getattr(second, name), value, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_blocks_and_processes_change_nothing(tiny_home, size):
    home = open_home(tiny_home)
    axis = home.sessions(home.settings())
    traded = axis[14:]
    blocks = [traded[first : first + size] for first in range(0, len(traded), size)]
    assert (len(blocks) >= WORTH_A_PROCESS) == (size < 100)
    found = [inputs for block in read_ahead(home, home.settings(), axis, traded[0], blocks) for inputs in block]
    assert [inputs.session for inputs in found] == traded
    for session, inputs in zip(traded, found, strict=True):
        (alone,) = book_inputs.BookReader(home, home.settings(), tuple(axis), traded[0])([session])
        require_same(alone, inputs)


def test_what_cannot_be_read_ahead_is_an_error_here(tiny_home):
    home = open_home(tiny_home)
    axis = home.sessions(home.settings())
    blocks = [[day] for day in axis[14:17]] + [[]]
    ahead = read_ahead(home, home.settings(), axis, axis[14], blocks)
    assert [[inputs.session for inputs in next(ahead)] for _ in range(3)] == blocks[:3]
    with pytest.raises(IndexError):
        next(ahead)
