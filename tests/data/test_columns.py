"""The schema: raw cells to encoded ones and back, beside sums written out cell by cell."""

import numpy as np
import pytest

from xhat.data.columns import Schema
from xhat.data.kinds import Binary, Categorical, Count, Real
from xhat.data.scaling import CLIP, fit_schema
from xhat.data.statistics import column_statistics
from xhat.errors import CellError

NAN = np.nan
NAMES = ["real", "robust", "plain", "flag", "town", "visits"]
KINDS = [Real("std"), Real("robust"), Real(None), Binary(), Categorical(2, 2), Count()]
LEVELS = [0, 0, 0, 0, 4, 0]


def rows(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            rng.normal(5, 3, n),
            rng.standard_cauchy(n),
            rng.random(n),
            rng.integers(0, 2, n),
            rng.choice(4, n, p=[0.1, 0.5, 0.35, 0.05]),
            rng.poisson(2, n),
        ]
    ).astype(float)
    X[::7, [0, 4, 5]] = NAN
    return X


def schema_of(X, kinds=KINDS, names=NAMES, levels=LEVELS):
    def tiles():
        half = len(X) // 2
        yield X[:half], None
        yield X[half:], None

    everything = column_statistics(tiles, len(names))
    return fit_schema(names, kinds, levels, tiles, everything)


def test_encoded_cells_are_scaled_one_by_one():
    X = rows()
    schema = schema_of(X)
    batch = schema.encode(X)
    seen = X[~np.isnan(X[:, 0]), 0]
    real = np.where(np.isnan(X[:, 0]), 0, (X[:, 0] - seen.mean()) / seen.std())
    np.testing.assert_allclose(batch.X[:, 0], real, atol=1e-12)
    low, middle, high = np.percentile(X[:, 1], [25, 50, 75])
    np.testing.assert_allclose(batch.X[:, 1], (X[:, 1] - middle) / ((high - low) / 1.349))
    np.testing.assert_array_equal(batch.X[:, 2:4], X[:, 2:4])
    counts = X[~np.isnan(X[:, 5]), 5]
    filled = np.where(np.isnan(X[:, 5]), counts.mean(), X[:, 5])
    np.testing.assert_allclose(batch.X[:, -1], filled / counts.std())
    # One mask value an encoded column: all places of a missing category are missing.
    width = schema.columns[4].width
    np.testing.assert_array_equal(batch.mask[:, 4 : 4 + width], ~np.isnan(X[:, [4] * width]))


def test_frequent_levels_have_places_and_rare_ones_share_one():
    codes = np.array([1] * 6 + [2] * 5 + [0] * 3 + [3], float)[:, None]
    schema = schema_of(codes, [Categorical(2, 2)], ["town"], [5])
    column = schema.columns[0]
    assert column.places == (2, 0, 1, 2, 2)  # 4 occurs in no training row: rare as well
    np.testing.assert_allclose(column.fill, [6 / 15, 5 / 15, 4 / 15], atol=1e-8)
    wide = schema_of(codes, [Categorical(9, 4)], ["town"], [5]).columns[0]
    assert wide.places == (2, 0, 1, 2, 2)  # fewer than 4 rows: rare
    Z = schema.encode(np.array([[1.0], [0.0], [NAN], [5.0], [9.0]])).X
    np.testing.assert_array_equal(Z[:2], [[1, 0, 0], [0, 0, 1]])
    # Missing, or never seen: the encoder sees the shares of the levels.
    np.testing.assert_array_equal(Z[2:], [column.fill] * 3)


def test_levels_that_a_fold_lacks_are_new_to_it():
    codes = np.array([1] * 6 + [2] * 5 + [0] * 3 + [3], float)[:, None]
    whole = schema_of(codes, [Categorical(2, 2)], ["town"], [4])
    part = codes[:11]  # without the rare ones
    fold = fit_schema(
        ["town"],
        [Categorical(2, 2)],
        [4],
        lambda: iter([(part, None)]),
        column_statistics(lambda: iter([(codes, None)]), 1),
        whole,
    )
    assert whole.columns[0].places == (2, 0, 1, 2)
    assert fold.columns[0].places == (-1, 0, 1, -1)
    assert fold.d == whole.d == 3
    rows = np.array([[0.0], [1.0], [3.0]])
    assert fold.unseen.cells(rows)[:, 0].tolist() == [True, False, True]
    assert not whole.unseen.cells(rows).any()
    np.testing.assert_array_equal(fold.decode(np.eye(3))[:2, 0], [1, 2])


def test_every_level_frequent_leaves_no_rare_place():
    codes = np.array([0, 1] * 5, float)[:, None]
    column = schema_of(codes, [Categorical()], ["town"], [2]).columns[0]
    assert column.places == (0, 1)
    assert column.width == 2


def test_all_levels_rare_keeps_the_most_frequent_apart():
    codes = np.array([0, 1, 2, 1], float)[:, None]
    column = schema_of(codes, [Categorical(min_rows=5)], ["town"], [3]).columns[0]
    assert column.places == (1, 0, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decoding_undoes_encoding(dtype):
    X = rows().astype(dtype)
    schema = schema_of(X.astype(float))
    back = schema.decode(schema.encode(X).X)
    seen = ~np.isnan(X)
    exact = [0, 1, 2, 3, 5]
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        np.where(seen, back, 0)[:, exact], np.where(seen, X, 0)[:, exact], rtol=tolerance, atol=1e-5
    )
    assert back.dtype == dtype
    places = np.array(schema.columns[4].places)
    town = seen[:, 4]
    # A rare level comes back as one of the rare ones, any other as itself.
    np.testing.assert_array_equal(places[back[town, 4].astype(int)], places[X[town, 4].astype(int)])


def test_the_encoder_is_shown_one_deviation_more_than_the_range_at_most_four_in_all():
    X = np.array([*np.linspace(-1, 1, 50), 30.0])[:, None]
    schema = schema_of(X, [Real("std")], ["a"], [0])
    Z = schema.encode(np.array([[-1e9], [1e9]])).X
    low = (-1 - X.mean()) / X.std()
    np.testing.assert_allclose(schema.clip(Z).ravel(), [low - 1, CLIP])
    np.testing.assert_allclose(schema.inside(Z).ravel(), [low, (30 - X.mean()) / X.std()])


def test_a_level_never_seen_costs_twice_the_log_of_the_rows():
    X = rows()
    schema = schema_of(X)
    X[3, 4], X[4, 4] = 4, NAN
    nats = schema.unseen.nats(X)
    known = (~np.isnan(rows()[:, 4])).sum()
    assert nats[3, 4] == 2 * np.log1p(known)
    assert np.count_nonzero(nats) == 1


@pytest.mark.parametrize("value", [0.0, 3.0, -2e-300])
def test_constant_columns_are_divided_by_their_own_size(value):
    X = np.full((10, 1), value)
    column = schema_of(X, [Real("std")], ["a"], [0]).columns[0]
    assert column.center == value
    assert column.spread == (3.0 if value == 3.0 else 1.0)


def test_columns_weigh_the_same_in_mixed_tables_only():
    X = rows()
    schema = schema_of(X)
    losses = np.array([1.0, 0.05, 2.0, 0.0, 4.0, 0.5])
    weights = [column.weight for column in schema.balanced(losses).columns]
    np.testing.assert_allclose(weights, [1, 10, 0.5, 1, 0.25, 2])
    assert not schema.textbook
    assert Schema(schema.columns[:3]).textbook
    assert not Schema(schema.columns[4:5]).textbook  # categories may have any number of levels


def test_a_value_out_of_reach_is_named():
    schema = schema_of(rows())
    X = rows()[:5]
    X[2, 3] = 1.5
    with pytest.raises(CellError, match=r"1.5 is outside \[0, 1\]") as caught:
        schema.unseen.check(X, np.arange(40, 45))
    assert caught.value.row == 42
    X[2, 3], X[1, 5] = 1, -1
    with pytest.raises(CellError, match="visits"):
        schema.unseen.check(X, np.arange(5))


def test_cells_are_summed_over_the_places_of_a_category():
    schema = schema_of(rows())
    cells = np.arange(2.0 * schema.d).reshape(2, -1)
    wanted = [
        [cells[i, schema.group == j].sum() for j in range(len(schema.columns))] for i in range(2)
    ]
    np.testing.assert_array_equal(schema.by_column(cells), wanted)
