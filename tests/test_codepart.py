"""The code's part of the score (equations 50 to 53), against plain NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from xhat import Autoencoder, load
from xhat.codepart import SETS, between, stored_size
from xhat.engines import available
from xhat.errors import ModelFileError

WINE = load_wine().data


def expected_part(part, Z):
    """Equations 50 to 52, row by row and stored row by stored row, in float64."""
    found = []
    for z in np.asarray(Z, dtype=float):
        sets = [[] for _ in range(SETS)]
        for i, p in enumerate(part.rows):
            sets[i % SETS].append(((z - p) ** 2).sum())
        level = np.mean([np.log1p(min(distances) / part.unit) for distances in sets])
        found.append(part.weight * max(level - part.usual, 0.0))
    return np.array(found)


def compared(model, X):
    """Rows as they are compared with others."""
    return model.of_rows(X, lambda _, tile: model.whole(tile))


@pytest.fixture(scope="module")
def ae():
    return Autoencoder(3, random_state=0, max_iter=30).fit(WINE)


@pytest.mark.parametrize("engine", sorted(available()))
def test_the_part_is_the_formulas(ae, engine):
    model = ae._fit.model
    far = WINE * np.array([1.0] * 12 + [3.0])
    Z = compared(model, np.vstack([WINE, far]))
    part = replace(model.code, engine=available()[engine])
    np.testing.assert_allclose(part.nats(Z), expected_part(part, Z), rtol=1e-9, atol=1e-9)
    assert 0 < (part.nats(Z) == 0).mean() < 1
    whole = model.nats(np.vstack([WINE, far]))[:, -1]
    np.testing.assert_allclose(part.nats(Z), whole, rtol=1e-12, atol=1e-12)


def test_shares_are_the_formula(ae):
    model = ae._fit.model
    part, Z = model.code, compared(model, 2 * WINE[:20])
    for z, found in zip(Z, part.shares(Z), strict=True):
        expected = np.zeros(13)
        for r in range(SETS):
            apart = (z - part.rows[r::SETS]) ** 2
            nearest = apart[apart.sum(axis=1).argmin()]
            expected += np.log1p(nearest.sum() / part.unit) * nearest / nearest.sum()
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6, atol=1e-9)


def test_shares_are_finite_where_distances_are_not(ae):
    model = ae._fit.model
    for changes in (
        {"unit": 5e-324},
        {"decoded": lambda codes: np.full((len(codes), model.net.d), 1e200)},
    ):
        part = replace(model.code, **changes)
        with np.errstate(all="ignore"):
            shares = part.shares(compared(model, WINE))
        assert np.isfinite(shares).all()


def test_the_code_can_be_shared_out_over_the_columns(ae):
    far = WINE[:5].copy()
    whole, spread = ae.explain(far), ae.explain(far, spread_code=True)
    assert spread.shape == (5, 13)
    assert (spread >= whole[:, :-1]).all()
    np.testing.assert_allclose(spread.sum(axis=1), ae.anomaly_score(far), rtol=1e-12)
    long = ae.explain(far, detail=True, spread_code=True)
    np.testing.assert_array_equal(long["nats"].reshape(5, 13), spread)


def test_the_code_lies_in_the_columns_that_are_far_out():
    rng = np.random.default_rng(0)
    t = np.concatenate([rng.uniform(-1, -0.5, 1000), rng.uniform(0.5, 1, 1000)])
    X = np.column_stack([t, 2 * t, -t, rng.normal(size=2000)]) + 0.01 * rng.normal(size=(2000, 4))
    ae = Autoencoder(2, random_state=0, max_iter=5).fit(X)
    between = np.array([[0.0, 0.0, 0.0, 0.1]])
    added = ae.explain(between, spread_code=True) - ae.explain(between)[:, :-1]
    assert added[0, 3] < added[0, :3].min() / 2


def test_stored_codes_lie_half_way_to_the_mean_of_those_nearest_to_them():
    rng = np.random.default_rng(3)
    H, decoder = rng.normal(size=(128, 3)), rng.normal(size=(3, 5))
    X_hat = H @ decoder
    found = between(H, lambda codes: codes @ decoder, 64)
    for i, p in enumerate(found):
        of_set = [j for j in range(64) if j % SETS == i % SETS]
        nearest = [min(of_set, key=lambda j: ((x - X_hat[j]) ** 2).sum()) for x in X_hat]
        mean = H[[j == i for j in nearest]].mean(axis=0)
        np.testing.assert_allclose(p, (H[i] + mean) / 2, rtol=1e-12)
    np.testing.assert_array_equal(
        between(H[:16], lambda codes: codes @ decoder, 16)[0], (H[0] + H[:16].mean(0)) / 2
    )


def test_rows_are_what_stored_codes_decode_to(ae):
    model = ae._fit.model
    spread = np.array([c.spread for c in model.schema.columns])
    center = np.array([c.center for c in model.schema.columns])
    np.testing.assert_allclose(
        model.code.rows * spread + center, model.decode(model.code.stored), rtol=1e-9
    )


@pytest.mark.parametrize("rounds", [1, 3])
def test_cells_that_say_nothing_are_compared_as_they_are_rebuilt(rounds):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(300, 3)) @ rng.normal(size=(3, 4)), columns=list("abcd"))
    frame["level"] = np.where(frame["a"] > 0, "up", "down")
    fitted = Autoencoder(2, random_state=0, max_iter=5).fit(frame)
    model = replace(fitted._fit.model, rounds=rounds)
    rows = frame[:4].copy()
    rows.loc[0, "b"], rows.loc[1, "level"], rows.loc[2, "level"] = np.nan, None, "never seen"
    Z, seen = compared(model, fitted._read(rows)), compared(model, fitted._read(frame[:4]))
    rebuilt = model.rebuilt(model.scored_codes(fitted._read(rows)))
    level = np.arange(4, model.net.d)
    np.testing.assert_array_equal(Z[0, 1], rebuilt[0, 1])
    np.testing.assert_array_equal(Z[1:3, level], rebuilt[1:3, level])
    np.testing.assert_array_equal(Z[3], seen[3])
    np.testing.assert_array_equal(np.delete(Z[0], 1), np.delete(seen[0], 1))
    codes = model.nats(fitted._read(rows))[:, -1]
    again = rows.copy()
    again.loc[2, "level"] = None  # nothing of a level never seen but that it is none
    np.testing.assert_array_equal(model.nats(fitted._read(again))[:, -1], codes)


def test_rows_without_cells_do_not_move_the_scale():
    X = np.random.default_rng(0).normal(size=(3000, 2)) @ np.ones((2, 4))
    X += 0.1 * np.random.default_rng(2).normal(size=X.shape)
    X[::5] = np.nan
    fitted = Autoencoder(2, random_state=0, max_iter=3).fit(X)
    code = fitted._fit.model.nats(X)[:, -1]
    empty = np.isnan(X[:, 0])
    assert (code[empty] == 0).all()
    assert 0.05 < (code[~empty] == 0).mean() < 0.15


def test_the_weight_sets_how_both_parts_grow():
    X = np.random.default_rng(0).normal(size=(3000, 4)) @ np.random.default_rng(1).normal(
        size=(4, 6)
    )
    X += 0.1 * np.random.default_rng(2).normal(size=X.shape)
    ae = Autoencoder(3, random_state=0, max_iter=3).fit(X)
    held = ae._fit.held_out_scores
    part = ae._fit.model.code
    assert len(held) == 600
    nats = ae._fit.model.nats(X)
    columns, code = nats[:, :-1].sum(axis=1), nats[:, -1]
    assert 0.06 < (code == 0).mean() < 0.14
    grown = np.quantile(columns, 0.95) - np.median(columns)
    assert np.quantile(code, 0.95) - np.median(code) == pytest.approx(3 * grown, rel=0.25)
    assert len(part.stored) == 256
    assert part.unit > 0


def test_a_row_whose_cells_fit_together_is_strange_by_its_code():
    rng = np.random.default_rng(0)
    t = np.concatenate([rng.uniform(-1, -0.5, 1000), rng.uniform(0.5, 1, 1000)])
    X = np.column_stack([t, 2 * t, -t]) + 0.01 * rng.normal(size=(2000, 3))
    ae = Autoencoder(1, random_state=0, max_iter=5).fit(X)
    between = ae.explain(np.array([[0.0, 0.0, 0.0]]))[0]
    assert between[-1] == between.max() > np.quantile(ae.explain(X)[:, -1], 0.999)


def test_explain_has_the_part_in_every_container(ae):
    frame = pd.DataFrame(WINE, columns=[f"c{j}" for j in range(13)])
    fitted = Autoencoder(3, random_state=0, max_iter=30).fit(frame)
    parts = fitted.explain(frame)
    assert list(parts.columns) == [*frame.columns, "(code)"]
    np.testing.assert_array_equal(parts.to_numpy(), ae.explain(WINE))
    np.testing.assert_allclose(ae.explain(WINE).sum(axis=1), ae.anomaly_score(WINE), rtol=1e-12)
    long = fitted.explain(frame, detail=True)
    assert len(long) == 178 * 14
    last = long[long["column"] == "(code)"]
    np.testing.assert_array_equal(last["nats"], parts["(code)"])
    assert last["observed"].isna().all()
    record = ae.explain(WINE[:2], detail=True)
    assert record["column"][13] == "(code)"
    assert np.isnan(record["expected"][[13, 27]]).all()


def test_a_column_of_that_name_keeps_it():
    frame = pd.DataFrame(WINE[:, :3], columns=["(code)", "b", "c"])
    parts = Autoencoder(1, random_state=0, max_iter=5).fit(frame).explain(frame)
    assert list(parts.columns) == ["(code)", "b", "c", "((code))"]


def test_it_is_saved_and_rows_stand_alone(ae, tmp_path):
    ae.save(tmp_path / "m.xhat")
    again = load(tmp_path / "m.xhat")
    np.testing.assert_array_equal(again.explain(WINE), ae.explain(WINE))
    alone = [ae.explain(WINE[i : i + 1]) for i in range(20)]
    np.testing.assert_array_equal(np.vstack(alone), ae.explain(WINE)[:20])


def test_a_file_with_half_of_it_is_refused(ae, tmp_path, monkeypatch):
    from xhat import persist

    pack = persist.pack

    def without(form, header, arrays):
        return pack(form, header, {n: a for n, a in arrays.items() if n != "code_stored"})

    monkeypatch.setattr(persist, "pack", without)
    ae.save(tmp_path / "half.xhat")
    with pytest.raises(ModelFileError, match="only some of the arrays of the code"):
        load(tmp_path / "half.xhat")


def test_a_file_that_scores_otherwise_is_refused(ae, tmp_path, monkeypatch):
    from xhat import persist

    pack = persist.pack
    monkeypatch.setattr(
        persist, "pack", lambda form, h, arrays: pack(form, h, {**arrays, "code_metric": np.eye(3)})
    )
    ae.save(tmp_path / "old.xhat")
    with pytest.raises(ModelFileError, match=r"old\.xhat: .* before version 0\.1\.0 .* fit again"):
        load(tmp_path / "old.xhat")


def test_few_rows_have_no_such_part():
    assert [stored_size(n) for n in (15, 16, 31, 32, 10**7)] == [0, 16, 16, 32, 256]
    X = np.random.default_rng(0).normal(size=(6, 3))
    ae = Autoencoder(1, random_state=0).fit(X)
    assert ae.explain(X).shape == (6, 3)
    np.testing.assert_array_equal(ae.explain(X, spread_code=True), ae.explain(X))


@pytest.mark.parametrize("n", [145, 300])
def test_alarms_are_as_rare_as_said_where_folds_have_fewer_rows_by_a_step(n):
    """Folds of 116 and 216 rows store 64 and 128 codes, all rows would 128 and 256."""

    def rows(n, seed):
        rng, P = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(3, 8))
        return rng.normal(size=(n, 3)) @ P + 0.4 * rng.normal(size=(n, 8))

    shares = []
    for seed in (11, 12, 13):
        ae = Autoencoder(random_state=0, max_iter=10).fit(rows(n, seed))
        shares.append((ae.anomaly_score(rows(4000, 100 + seed)) > ae.threshold(0.2)).mean())
    assert np.mean(shares) == pytest.approx(0.2, abs=0.06)
