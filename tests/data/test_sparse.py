"""CSR input: the results of the dense matrix, without ever making it."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from xhat import Autoencoder, baseline, pca
from xhat.data.batches import tile_rows
from xhat.data.kinds import Real

SETTINGS = {"n_components": 3, "max_iter": 3, "random_state": 0}


def words(n=1200, d=40, seed=0, largest=1):
    rng = np.random.default_rng(seed)
    topics = rng.random((n, 4)) @ rng.random((4, d)) ** 6
    return np.minimum(rng.poisson(topics), largest).astype(np.float64)


@pytest.mark.parametrize("largest", [1, 9])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_sparse_is_dense(largest, dtype):
    X = words(largest=largest).astype(dtype)
    sparse = scipy.sparse.csr_matrix(X)
    a, b = (Autoencoder(**SETTINGS).fit(given) for given in (X, sparse))
    assert a.heads_ == b.heads_
    np.testing.assert_allclose(b.transform(sparse), a.transform(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(b.anomaly_score(sparse), a.anomaly_score(X), rtol=1e-4)
    np.testing.assert_allclose(b.score(sparse), a.score(X), rtol=1e-5)
    np.testing.assert_allclose(b.offset_, a.offset_, rtol=1e-4)


def test_sparse_pca_is_dense_pca(monkeypatch):
    X = words(d=30, largest=5)
    sparse = scipy.sparse.csr_matrix(X)
    settings = {**SETTINGS, "heads": Real("std"), "max_iter": 1}
    a = Autoencoder(**settings).fit(X)._fit.baseline
    monkeypatch.setattr(pca, "DENSE_SOLVER", 10)
    b = Autoencoder(**settings).fit(sparse)._fit.baseline
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-6, atol=1e-8)


def test_groups_of_columns_have_the_decoder_of_all(monkeypatch):
    X = words(d=30)
    sparse = scipy.sparse.csr_matrix(X)
    a = Autoencoder(**SETTINGS).fit(sparse)._fit.baseline
    monkeypatch.setattr(baseline, "DECODER_CELLS", 7 * 1000)
    b = Autoencoder(**SETTINGS).fit(sparse)._fit.baseline
    np.testing.assert_allclose(b.theta, a.theta, rtol=0.05, atol=0.05)


def test_missing_cells_of_a_sparse_matrix_are_filled_in_place():
    X = words()
    ae = Autoencoder(**SETTINGS).fit(scipy.sparse.csr_matrix(X))
    holes = scipy.sparse.csr_matrix(X[:50])
    holes.data[::9] = np.nan
    filled = ae.impute(holes)
    assert filled.shape == holes.shape
    assert np.isfinite(filled.data).all()
    seen = ~np.isnan(holes.data)
    np.testing.assert_array_equal(filled.data[seen], holes.data[seen])
    np.testing.assert_array_equal(filled.toarray(), ae.impute(holes.toarray()))
    assert len(ae.impute(holes, draws=2)) == 2


def test_tiles_of_wide_tables_are_low():
    assert tile_rows(10) == 4096
    assert tile_rows(10_000) * 10_000 <= 2**21
    assert tile_rows(10**7) == 16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("holes", [False, True])
def test_sparse_rows_are_encoded_to_the_bit(dtype, holes):
    X = words(300, largest=9)
    X[:, 0] -= 3  # real: its zeros are not 0 when encoded
    sparse = scipy.sparse.csr_array(X)
    if holes:
        sparse.data[::7] = np.nan
    ae = Autoencoder(**SETTINGS).fit(X)
    found, wanted = (
        ae._fit.model.schema.encode(given, dtype) for given in (sparse, sparse.toarray())
    )
    np.testing.assert_array_equal(found.X, wanted.X)
    assert found.X.dtype == dtype
    assert (found.mask is None) is (not holes)


def test_entries_that_stand_twice_are_added():
    X = words()
    sparse = scipy.sparse.coo_array(X).tocsr()
    twice = scipy.sparse.csr_array(
        (np.repeat(sparse.data / 2, 2), np.repeat(sparse.indices, 2), 2 * sparse.indptr),
        shape=X.shape,
    )
    assert not twice.has_canonical_format
    stored = twice.nnz
    a, b = (Autoencoder(**SETTINGS).fit(given) for given in (sparse, twice))
    np.testing.assert_array_equal(b.anomaly_score(twice), a.anomaly_score(sparse))
    assert twice.nnz == stored  # the caller's matrix stays what it was


def test_a_fit_takes_less_memory_than_the_dense_matrix():
    def peak(width):
        X = words(3000, 30)
        matrix = scipy.sparse.csr_array(X)
        matrix.resize((3000, width))
        ae = Autoencoder(n_components=2, hidden=(), max_iter=1, random_state=0, heads="binary")
        tracemalloc.start()
        ae.fit(matrix)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(60)  # what is imported and kept at the first fit does not count
    assert peak(600) < 3000 * 600 * 8
