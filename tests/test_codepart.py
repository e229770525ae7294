"""The code's part of the score (equations 50 to 53), against plain NumPy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from xhat import Autoencoder, load
from xhat.codepart import OLD_SETS, SETS, slope, stored_size
from xhat.engines import available
from xhat.errors import ModelFileError

WINE = load_wine().data


def expected_part(part, H):
    """Equations 50 to 52, row by row and code by code, in float64."""
    found = []
    for h in np.asarray(H, dtype=float):
        sets = [[] for _ in range(part.sets)]
        for i, p in enumerate(part.stored):
            sets[i % part.sets].append((((h - p) @ part.metric) ** 2).sum())
        level = np.mean([np.log1p(min(distances) / part.unit) for distances in sets])
        found.append(part.weight * max(level - part.usual, 0.0))
    return np.array(found)


@pytest.fixture(scope="module")
def ae():
    return Autoencoder(3, random_state=0, max_iter=30).fit(WINE)


@pytest.mark.parametrize("sets", [OLD_SETS, SETS])
@pytest.mark.parametrize("engine", sorted(available()))
def test_the_part_is_the_formulas(ae, engine, sets):
    model = ae._fit.model
    far = WINE * np.array([1.0] * 12 + [3.0])
    H = model.scored_codes(np.vstack([WINE, far]))
    part = model.code.__class__(
        **{n: getattr(model.code, n) for n in ("metric", "stored", "unit", "usual", "weight")},
        engine=available()[engine],
        sets=sets,
    )
    np.testing.assert_allclose(part.nats(H), expected_part(part, H), rtol=1e-9, atol=1e-9)
    assert 0 < (part.nats(H) == 0).mean() < 1


def test_shares_are_the_formula(ae):
    model = ae._fit.model
    part, H = model.code, model.scored_codes(2 * WINE[:20])
    B = slope(part.stored, model.rebuilt(part.stored))
    shares = part.shares(H, B)
    for h, found in zip(H, shares, strict=True):
        expected = np.zeros(13)
        for r in range(part.sets):
            apart = ((h - part.stored[r :: part.sets]) @ B) ** 2
            nearest = apart[apart.sum(axis=1).argmin()]
            expected += np.log1p(nearest.sum() / part.unit) * nearest / nearest.sum()
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6, atol=1e-9)


def test_shares_are_finite_where_distances_are_not(ae):
    model = ae._fit.model
    for changes in ({"unit": 5e-324}, {"stored": np.full_like(model.code.stored, 1e200)}):
        part = replace(model.code, **changes)
        with np.errstate(all="ignore"):
            shares = part.shares(model.scored_codes(WINE), slope(model.code.stored, WINE[:128]))
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


def test_a_file_without_the_number_of_sets_has_eight(ae, tmp_path, monkeypatch):
    from xhat import persist

    pack = persist.pack

    def older(form, header, arrays):
        constants = arrays["code_constants"][:3]
        return pack(form, header, {**arrays, "code_constants": constants})

    monkeypatch.setattr(persist, "pack", older)
    ae.save(tmp_path / "older.xhat")
    assert load(tmp_path / "older.xhat")._fit.model.code.sets == 8


def test_stored_codes_are_training_rows_and_the_metric_is_the_decoders(ae):
    model = ae._fit.model
    codes = model.scored_codes(WINE)
    for p in model.code.stored:
        assert np.abs(codes - p).sum(axis=1).min() < 1e-9
    part = model.code
    X_hat = model.decode(part.stored) / [c.spread for c in model.schema.columns]
    A = np.column_stack([part.stored, np.ones(len(part.stored))])
    B = np.linalg.lstsq(A, X_hat, rcond=None)[0][:-1]
    np.testing.assert_allclose(part.metric @ part.metric.T, B @ B.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("contamination", "codes", "share"),
    [("auto", 256, 2), (0.05, 256, 2), (0, 2048, 1), (0.0, 2048, 1)],
)
def test_the_weight_sets_how_both_parts_grow(contamination, codes, share):
    X = np.random.default_rng(0).normal(size=(3000, 4)) @ np.random.default_rng(1).normal(
        size=(4, 6)
    )
    X += 0.1 * np.random.default_rng(2).normal(size=X.shape)
    ae = Autoencoder(3, random_state=0, max_iter=3, contamination=contamination).fit(X)
    held = ae._fit.held_out_scores
    part = ae._fit.model.code
    assert len(held) == 600
    nats = ae._fit.model.nats(X)
    columns, code = nats[:, :-1].sum(axis=1), nats[:, -1]
    assert 0.4 < (code == 0).mean() < 0.6
    grown = np.quantile(columns, 0.95) - np.median(columns)
    assert np.quantile(code, 0.95) == pytest.approx(share * grown, rel=0.25)
    assert len(part.stored) == codes
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
        return pack(form, header, {n: a for n, a in arrays.items() if n != "code_metric"})

    monkeypatch.setattr(persist, "pack", without)
    ae.save(tmp_path / "half.xhat")
    with pytest.raises(ModelFileError, match="only some of the arrays of the code"):
        load(tmp_path / "half.xhat")


def test_few_rows_have_no_such_part():
    assert [stored_size(n, clean=False) for n in (15, 16, 31, 32, 10**7)] == [0, 16, 16, 32, 256]
    assert [stored_size(n, clean=True) for n in (31, 256, 10**7)] == [16, 256, 2048]
    X = np.random.default_rng(0).normal(size=(6, 3))
    ae = Autoencoder(1, random_state=0).fit(X)
    assert ae.explain(X).shape == (6, 3)
    np.testing.assert_array_equal(ae.explain(X, spread_code=True), ae.explain(X))
