"""Copies of a row are never on both sides of a split: what is held out would tell nothing."""

import numpy as np
import pytest

from xhat import Autoencoder
from xhat.copies import copies
from xhat.sources import split_rows


def rows(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_equal_rows_are_found_whatever_stands_for_zero_or_missing():
    X = rows(6)
    X[1], X[4] = X[3], X[0]
    X[2, 0], X[5] = 0.0, X[2]
    X[5, 0] = -0.0
    X[[0, 4], 1] = np.nan
    X[4, 1] = -np.float64(np.nan)
    assert copies(X).tolist() == [0, 1, 2, 1, 0, 2]
    assert copies(X.astype(np.float32)).tolist() == [0, 1, 2, 1, 0, 2]
    X = rows(10_000)
    assert copies(X) is None
    group = np.random.default_rng(1).integers(0, 700, 10_000)
    _, expected = np.unique(group, return_inverse=True)
    found = copies(X[group])
    assert len(set(zip(found, expected, strict=True))) == len(set(found)) == len(set(expected))


def test_rows_equal_by_chance_are_left_alone():
    """Six coins: new rows will equal the old ones too, unless a column tells rows apart."""
    coins = np.random.default_rng(0).integers(0, 2, (900, 6)).astype(float)
    assert copies(coins) is None
    named = np.column_stack([coins, np.arange(900.0)])
    assert copies(named) is None
    assert copies(np.vstack([named, named])) is not None


def test_a_few_common_rows_are_left_alone():
    """Most measurements of an idle machine are the same, to the last digit: so will new ones be."""
    X = rows(3000)
    assert copies(np.vstack([X, np.repeat(X[:1], 300, axis=0)])) is None
    drawn = X[np.random.default_rng(1).integers(0, 3000, 3000)]
    assert copies(drawn) is not None


@pytest.mark.parametrize("seed", range(5))
def test_a_split_keeps_groups_together(seed):
    rng = np.random.default_rng(seed)
    group = np.concatenate([rng.integers(0, 300, 1000), np.full(400, 300)])  # one of 400 copies
    split = split_rows(1400, 0.1, rng, group)
    parts = [split.train, split.held_out, split.verdict]
    assert sorted(np.concatenate(parts)) == list(range(1400))
    sides = [set(group[part]) for part in parts]
    assert sum(map(len, sides)) == len(set(group))
    assert all(130 <= len(part) < 150 for part in parts[1:])
    assert 300 in sides[0]  # more than a part holds


def test_the_split_of_rows_without_copies_is_what_it_was():
    ours, theirs = (
        split_rows(900, 0.1, np.random.default_rng(0), group) for group in (None, np.arange(900))
    )
    for name in ("train", "held_out", "verdict"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))


def test_the_verdict_of_a_table_of_copies_holds_for_new_rows():
    """A network learns 120 rows by heart; ten copies of each once hid that from the verdict."""
    X = rows(1120, 4) @ rows(4, 8, 1) + 0.5 * rows(1120, 8, 2)
    ae = Autoencoder(2, hidden=(64,), max_iter=60, random_state=0).fit(
        np.repeat(X[:120], 10, axis=0)
    )
    new = ae.compare_pca(X[120:])
    assert abs(np.log(ae.verdict_.ratio / new.ratio)) < 0.2
    assert new.ratio < 1.1


@pytest.mark.parametrize("groups", [2, 3, 4, 5, 6, 9, 10, 12, 40])
@pytest.mark.parametrize("fraction", [0.1, 1 / 3, 0.34, 0.5])
def test_few_groups_leave_rows_on_every_side(groups, fraction):
    """Groups stay whole where one is left to train on; else rows are split as without groups.

    None may be larger than the held-out part, and as many are taken from training as it takes to
    have the rows of both other parts. Of three, exactly a third each is the only such split.
    """
    size = 1200 // groups
    group = np.repeat(np.arange(groups), size)
    split, alone = (
        split_rows(len(group), fraction, np.random.default_rng(0), of) for of in (group, None)
    )
    parts, plain = ((s.train, s.held_out, s.verdict) for s in (split, alone))
    assert min(map(len, parts)) > 0
    assert sorted(np.concatenate(parts)) == list(range(len(group)))
    taken = -(-len(alone.unseen) // size)
    whole = size <= len(alone.held_out) and taken < groups
    assert whole == (fraction == 1 / 3) or groups != 3
    if whole:
        assert sum(len(set(group[part])) for part in parts) == groups
        assert len(split.train) == (groups - taken) * size
    else:
        assert all(map(np.array_equal, parts, plain))


@pytest.mark.parametrize("n", [200, 300, 1200])
def test_half_of_the_rows_may_be_held_out(n):
    split = split_rows(n, 0.5, np.random.default_rng(0))
    assert [len(split.held_out), len(split.verdict)] == [n // 2, n // 4]
    ae = Autoencoder(2, validation_fraction=0.5, max_iter=2, random_state=0).fit(rows(n))
    assert ae.verdict_.n_rows == n // 4


@pytest.mark.parametrize("n", [300, 1000, 1001])
def test_tables_of_few_values_are_judged_by_rows_not_by_kinds_of_rows(n):
    """Six answers have 64 patterns: new rows are like known ones, and so are held-out ones."""

    def answers(n, seed):
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, 2))
        return (z[:, [0, 1, 0, 1, 0, 1]] + 0.7 * rng.normal(size=(n, 6)) > 0).astype(float)

    shares, ratios = [], []
    for seed in (0, 1, 2):
        ae = Autoencoder(random_state=seed, max_iter=40).fit(answers(n, seed))
        new = answers(4000, 100 + seed)
        shares.append((ae.anomaly_score(new) > ae.threshold(0.2)).mean())
        ratios.append(ae.verdict_.pca / ae.compare_pca(new).pca)
    assert np.mean(shares) == pytest.approx(0.2, abs=0.08)
    assert np.mean(ratios) == pytest.approx(1, abs=0.25)


def test_weights_of_tables_of_few_values_are_copies():
    X = (np.random.default_rng(0).random((80, 3)) > 0.5).astype(float)
    weight = np.random.default_rng(1).integers(0, 4, 80)
    one, other = (Autoencoder(1, random_state=0, max_iter=5) for _ in range(2))
    one.fit(X, sample_weight=weight)
    other.fit(np.repeat(X, weight, axis=0))
    assert one.verdict_ == other.verdict_
    assert np.array_equal(one.anomaly_score(X), other.anomaly_score(X))
