"""Corruptions: right rates, and noise that depends on (key, row counter, column) alone."""

import numpy as np
import pytest

from xhat.maths.corruption import Columns, Gaussian, Masking, SaltAndPepper, uniform

N, D = 4000, 25
CELLS = N * D
LOW, HIGH = np.linspace(-5, -3, D), np.linspace(3, 5, D)
COUNTERS = np.arange(N, dtype=np.uint64)
CORRUPTIONS = {
    "masking": Masking(0.25),
    "gaussian": Gaussian(0.5),
    "salt-and-pepper": SaltAndPepper(0.2),
}
every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS)


def clean(n=N, dtype=np.float64):
    """Return rows strictly inside the columns' ranges, without zeros."""
    return np.random.default_rng(0).uniform(1.0, 2.0, (n, D)).astype(dtype)


def apply(corruption, X, key=7, counters=COUNTERS, low=LOW, high=HIGH):
    d = X.shape[1]
    columns = Columns(low, high, np.zeros(d, X.dtype), np.arange(d))
    return corruption.apply(X, key, counters, columns)


def assert_rate(hits, p):
    """Five standard deviations of a binomial count: a chance of 6e-7 for one seed, fixed."""
    assert abs(hits.mean() - p) < 5 * np.sqrt(p * (1 - p) / hits.size)


def test_uniform_is_uniform():
    u = uniform(3, COUNTERS, D)
    assert u.shape == (N, D)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    chi2 = ((counts - CELLS / 100) ** 2 / (CELLS / 100)).sum()
    assert 50 < chi2 < 160  # 99 degrees of freedom: mean 99, standard deviation 14
    assert np.unique(u).size == CELLS


def test_uniform_cells_are_unrelated():
    """Neighbours in a row, in a column and under the next key: correlation 0 within 5 / sqrt(n)."""
    u, v = uniform(3, COUNTERS, D), uniform(4, COUNTERS, D)
    for a, b in ((u[:, :-1], u[:, 1:]), (u[:-1], u[1:]), (u, v), (u[1:], v[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_uniform_is_the_documented_hash():
    """The published first outputs of SplitMix64 seeded with 1234567 pin constants and order.

    https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64: a row hash is one output of the
    generator seeded with the key; a cell's hash is one of the generator seeded with the row hash.
    """

    def splitmix(seed, position):
        mask = 2**64 - 1
        z = (seed + (position + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    assert splitmix(1234567, 0) == 6457827717110365317
    assert splitmix(1234567, 1) == 3203168211198807973
    u = uniform(1234567, np.array([0, 5], dtype=np.uint64), 3)
    for i, counter in enumerate((0, 5)):
        for j in range(3):
            assert u[i, j] == (splitmix(splitmix(1234567, counter), j) >> 11) / 2**53


def test_uniform_takes_the_ends_of_64_bits():
    ends = np.array([0, 2**64 - 1], dtype=np.uint64)
    for key in (0, 2**64 - 1):
        u = uniform(key, ends, 4)
        assert ((u >= 0) & (u < 1)).all()
        assert np.unique(u).size == 8


def test_masking_rate():
    X = clean()
    X_tilde = apply(Masking(0.25), X)
    hit = X_tilde == 0
    assert_rate(hit, 0.25)
    np.testing.assert_array_equal(X_tilde[~hit], X[~hit])
    assert_rate(hit[:, 0], 0.25)  # of every column, not only on the whole
    assert_rate(hit[:, -1], 0.25)


def test_gaussian_moments():
    """Mean 0, standard deviation sigma, and the tails of a normal distribution."""
    X = clean()
    noise = apply(Gaussian(0.5), X) - X
    assert abs(noise.mean()) < 5 * 0.5 / np.sqrt(CELLS)
    assert abs(noise.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * CELLS)
    z = noise / 0.5
    for k, p in ((1, 0.3173105), (2, 0.0455003), (3, 0.0026998)):
        assert_rate(np.abs(z) > k, p)
    assert_rate(z > 0, 0.5)
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 5 / np.sqrt(N)


def test_salt_and_pepper_rates():
    """Half of the hit cells become the column's minimum, half its maximum."""
    X = clean()
    X_tilde = apply(SaltAndPepper(0.2), X)
    to_low, to_high = X_tilde == LOW, X_tilde == HIGH
    assert_rate(to_low, 0.1)
    assert_rate(to_high, 0.1)
    kept = ~(to_low | to_high)
    np.testing.assert_array_equal(X_tilde[kept], X[kept])


def test_emphasis():
    """Hidden cells count 1, visible ones what was asked; levels of one category together."""
    X = np.full((4000, 3), 5.0)
    columns = Columns(LOW[:3], HIGH[:3], np.zeros(3), np.array([0, 1, 1]))
    noise = Masking(0.25, visible=0.4)
    hidden = noise.apply(X, 7, COUNTERS, columns) == 0
    weight = noise.emphasis(X.astype(np.float32), 7, COUNTERS, columns)
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, np.where(hidden, 1, np.float32(0.4)))
    assert (weight[:, 1] == weight[:, 2]).all()
    for visible in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"visible=.*\[0, 1\]"):
            Masking(0.25, visible)
    with pytest.raises(ValueError, match="no cell would count"):
        Masking(0, 0)


@pytest.mark.parametrize("corruption", [Masking(0.0), Gaussian(0.0), SaltAndPepper(0.0)])
def test_no_corruption(corruption):
    X = clean()
    np.testing.assert_array_equal(apply(corruption, X), X)


@every_corruption
def test_same_key_same_noise(corruption):
    X = clean()
    first, again, other = (apply(corruption, X, key) for key in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    # Another key corrupts other cells: no more than a fifth to two thirds can agree by chance.
    assert (first == other).mean() < 0.75


@every_corruption
def test_noise_does_not_depend_on_the_batch(corruption):
    """A row's noise is its counter's: alone, in a batch or shuffled."""
    X = clean()
    whole = apply(corruption, X)
    order = np.random.default_rng(1).permutation(N)
    np.testing.assert_array_equal(
        apply(corruption, X[order], counters=COUNTERS[order]), whole[order]
    )
    for part in (slice(0, 1), slice(5, 12), slice(N - 1000, N)):
        np.testing.assert_array_equal(
            apply(corruption, X[part], counters=COUNTERS[part]), whole[part]
        )


@every_corruption
def test_other_counters_give_other_noise(corruption):
    """The same row met again, later in the fit, is corrupted differently."""
    X = np.repeat(clean(1), N, axis=0)
    X_tilde = apply(corruption, X)
    assert np.unique(X_tilde, axis=0).shape[0] > 0.95 * N


@every_corruption
def test_clean_rows_are_left_alone(corruption):
    X = clean()
    before = X.copy()
    X.flags.writeable = False
    X_tilde = apply(corruption, X)
    assert not np.shares_memory(X_tilde, X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_corruption
def test_dtype_is_kept(corruption, dtype):
    X = clean(dtype=dtype)
    X_tilde = apply(corruption, X)
    assert X_tilde.dtype == dtype
    # The cells hit are the same in both dtypes: the numbers are drawn in float64.
    wide = apply(corruption, X.astype(np.float64))
    np.testing.assert_allclose(X_tilde, wide, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, np.nan, np.inf])
@pytest.mark.parametrize("corruption", [Masking, SaltAndPepper])
def test_invalid_probability_is_refused(corruption, p):
    with pytest.raises(ValueError, match=rf"{corruption.__name__}\(p={p!r}\).*\[0, 1\)"):
        corruption(p)


@pytest.mark.parametrize("sigma", [-0.1, np.nan, np.inf])
def test_invalid_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match=rf"Gaussian\(sigma={sigma!r}\)"):
        Gaussian(sigma)
