"""The rule of "auto", one line of it at a time; and what heads users may ask for."""

import numpy as np
import pytest

from xhat.data.kinds import (
    Auto,
    Binary,
    Categorical,
    Count,
    Real,
    check_names,
    resolve_kinds,
    storage_wish,
)
from xhat.data.statistics import column_statistics
from xhat.errors import ParameterError


def kind_of(values, form, heads="auto"):
    X = np.array(values, dtype=float)[:, None]
    statistics = column_statistics(lambda: iter([(X, None)]), 1)
    return resolve_kinds(["c"], heads, statistics, [form])[0]


ZEROS = [0] * 5


@pytest.mark.parametrize(
    ("values", "form", "kind"),
    [
        ([0, 1, 2], "level", Categorical()),
        ([1, 1, 1], "bool", Binary()),
        ([0, 1, np.nan], "number", Binary()),
        ([1, 1, 1], "number", Real("std")),  # constant: not "0 and 1 both occur"
        ([0, 0, 0], "integer", Real("std")),
        ([0, 1, 0.5], "number", Real("std")),
        ([0, 86400.0], "time", Real("std")),
        ([*ZEROS, 1, 2, 3], "integer", Count()),
        ([*ZEROS, 1, 2, 3], "number", Real("std")),  # its type allows fractions
        ([*ZEROS, 1, 2, 2], "integer", Real("std")),  # does not reach 3
        ([*ZEROS, 1000], "integer", Count()),
        ([*ZEROS, 1001], "integer", Real("std")),
        ([0, 0, 1, 3], "integer", Count()),  # half are 0
        ([0, 0, 1, 3, 4], "integer", Real("std")),  # fewer than half
        ([-1, *ZEROS, 3], "integer", Real("std")),
        ([0, 0, np.nan, np.nan, 1, 3], "integer", Count()),  # of the observed cells
    ],
)
def test_auto_takes_the_first_rule_that_fits(values, form, kind):
    assert kind_of(values, form) == kind


def test_a_head_for_one_column_and_auto_for_the_others():
    X = np.array([[0.0, 5.0], [1.0, 6.0]])
    statistics = column_statistics(lambda: iter([(X, None)]), 2)
    heads = {"b": Real("robust")}
    kinds = resolve_kinds(["a", "b"], heads, statistics, ["number", "number"])
    assert kinds == [Binary(), Real("robust")]


def test_a_scale_of_auto_is_std_unless_f_is_bounded():
    assert kind_of([1, 2], "number", Real()) == Real("std")
    assert kind_of([0, 2], "number", Real(f="logistic")) == Real(None, "logistic")
    assert kind_of([1, 2], "number", Auto(scale=None)) == Real(None)


@pytest.mark.parametrize(
    ("heads", "wish"),
    [
        ("auto", None),
        ({"other": "real"}, None),
        ({"c": "ignore"}, "ignore"),
        ({"c": Categorical(max_levels=3)}, "categorical"),
        ("count", "number"),
        ("binary", "number"),
    ],
)
def test_what_a_head_asks_of_the_storage(heads, wish):
    assert storage_wish(heads, "c") == wish


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kind_of([1, 2], "number", "reel"), "heads='reel' is not known"),
        (lambda: Real("log"), "Real\\(scale='log'\\)"),
        (lambda: Real(f="exp"), "Real\\(f='exp'\\)"),
        (lambda: Real("std", "tanh"), "leave \\[-1, 1\\]"),
        (lambda: Categorical(max_levels=0), "must be a whole number >= 1"),
        (lambda: Categorical(min_rows=0), "must be a whole number >= 1"),
        (
            lambda: check_names({"x": "real"}, ["a", "b"]),
            "not there: 'x'; the columns are 'a', 'b'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, words):
    with pytest.raises(ParameterError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
