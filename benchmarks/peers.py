"""One peer in a process of its own: reads lines from standard input, answers each with seconds.

Started by benchmarks.step as ``python -m benchmarks.peers PEER ROW``. The first answer is the
number of rows a measurement works on; then every line "go" is one measurement. Every peer gets
the same float32 rows, the same layers, squared error, Adam at 1e-3 and two threads, in the way
its own users would make it fast. Shuffling is left out of the measurement where a peer lets the
caller do it (xhat, torch, jax). What a peer cannot express is left out: scikit-learn and PyOD have
no linear path and no silu (they get relu).

``python -m benchmarks.peers PEER ROW cold`` is one measurement of another kind: the seconds from
the rows in memory to the end of five epochs, compiling included, imports not.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np

#: 1: seconds of one core's time, for a machine that others use; peers get one core and one thread.
CPU = os.environ.get("BENCHMARK_CPU") == "1"
THREADS = 1 if CPU else 2
SECONDS = 0.4 if CPU else 0.6  # of one measurement, about
clock = time.process_time if CPU else time.perf_counter


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    n: int
    d: int
    k: int
    hidden: tuple[int, ...] = ()
    batch: int = 128
    linear_path: bool = False
    scoring: bool = False

    @property
    def g(self):
        return "silu" if self.hidden else "sigmoid"

    @property
    def g_code(self):
        return "identity" if self.hidden else "sigmoid"

    @property
    def widths(self):
        up = (self.d, *self.hidden, self.k)
        return (*up, *up[-2::-1])

    @property
    def name(self):
        layers = "-".join(map(str, self.widths))
        path = " with linear path" if self.linear_path else ""
        work = "scoring" if self.scoring else f"batch {self.batch}"
        return f"{self.n:,} x {self.d}, {layers}{path}, {work}"

    @cache  # noqa: B019 - a row lives as long as the process
    def rows(self):
        return np.random.default_rng(0).standard_normal((self.n, self.d), dtype=np.float32)


ROWS = {
    "30-8": Row(100_000, 30, 8),
    "64-16": Row(100_000, 64, 16),
    "30-128-8": Row(100_000, 30, 8, (128,), 256, linear_path=True),
    "784-64": Row(20_000, 784, 64),
    "784-512-64": Row(20_000, 784, 64, (512,), 256),
    "4096-256": Row(5_000, 4096, 256, (), 256),
    "score": Row(1_000_000, 30, 8, (128,), 0, linear_path=True, scoring=True),
}


def xhat(row, engine_name="compiled"):
    from xhat.engines import available
    from xhat.engines.base import Cells, Run
    from xhat.engines.threads import in_order, thread_limit
    from xhat.maths.heads import Block, SquaredError
    from xhat.maths.objective import Batch, Objective
    from xhat.maths.params import Network
    from xhat.train.optimizers import Adam

    engine = available()[engine_name]
    block = Block(0, row.d, SquaredError())
    net = Network(row.d, row.k, (block,), row.hidden, row.g, row.g_code, False, row.linear_path)
    rng, X = np.random.default_rng(1), row.rows()
    theta = (0.1 * rng.standard_normal(net.size)).astype(np.float32)
    if row.scoring:
        tile = 8192
        bound = np.full(row.d, 4, np.float32)
        wanted = Cells(-bound, bound, excess=True, factor=np.ones(row.d))

        def tile_at(start):  # as Model.scores does; every cell's part: more than the peers do
            Z = Batch(X[start : min(start + tile, row.n)])
            return engine.cells(net, theta, Z, wanted).sum(axis=1)

        def score(rows):
            for _ in in_order(tile_at, range(0, rows, tile), thread_limit()):
                pass

        return score, row.n
    optimizer, objective, data = Adam(), Objective(net), Batch(X)
    state = optimizer.init(net, theta)
    whole = rng.permutation(row.n)

    def work(rows):
        done = 0
        while done < rows:
            order = whole[: rows - done]
            rates = np.full(-(-len(order) // row.batch), 1e-3)
            engine.run(objective, optimizer, theta, state, Run(data, order, row.batch, rates))
            done += len(order)

    return work, None


def xhat_reference(row):
    return xhat(row, "reference")


def fit(row, dtype):
    """A whole fit of xhat, with everything that Autoencoder.fit does around its epochs."""
    from xhat import Autoencoder

    X = row.rows().astype(dtype)
    shape = {"hidden": row.hidden, "linear_path": row.linear_path, "batch_size": row.batch}
    shape |= {"activation": (row.g, row.g_code), "learning_rate": 1e-3, "stopping": None}

    def work(rows):
        epochs = max(1, round(rows / row.n))
        Autoencoder(row.k, **shape, max_iter=epochs, random_state=0).fit(X)

    return work, "epochs"


def floor(row):
    """The same products in NumPy's BLAS and one pass of Adam at the bandwidth of a copy."""
    rng = np.random.default_rng(0)
    n = 4096 if row.scoring else row.batch

    def array(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    widths = row.widths
    edges = list(pairwise(widths))
    if row.linear_path:
        edges += [(row.d, row.k), (row.k, row.d)]
    H = {w: array(n, w) for w in set(widths)}
    W = [array(above, below) for below, above in edges]
    first = {0, len(widths) - 1} if row.linear_path else {0}  # from x: no gradient goes on
    out = {w: array(n, w) for w in set(widths)}
    grads = [array(*w.shape) for w in W]
    numbers = sum(w.size for w in W) + sum(widths[1:])
    # Adam reads theta, grad, mu, nu and writes theta, mu, nu: 7 streams, a copy is 2.
    copied, copy = array(numbers * 7 // 2), array(numbers * 7 // 2)

    def step():
        for (below, above), w in zip(edges, W, strict=True):
            np.matmul(H[below], w.T, out=out[above])
        if row.scoring:
            return
        for i, ((below, above), w) in enumerate(zip(edges, W, strict=True)):
            np.matmul(out[above].T, H[below], out=grads[i])
            if i not in first:
                np.matmul(H[above], w, out=out[below])
        np.copyto(copy, copied)

    def work(rows):
        for _ in range(-(-rows // n)):
            step()

    return work, row.n if row.scoring else None


def torch_model(row):
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    g = {"sigmoid": nn.Sigmoid, "silu": nn.SiLU}[row.g]
    half = len(row.widths) // 2

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            up = []
            for i, (a, b) in enumerate(pairwise(row.widths)):
                up.append(nn.Linear(a, b))
                if i != len(row.widths) - 2 and not (i == half - 1 and row.hidden):
                    up.append(g())
                if i == half - 1:
                    self.encoder, up = nn.Sequential(*up), []
            self.decoder = nn.Sequential(*up)
            if row.linear_path:
                self.P = nn.Linear(row.d, row.k, bias=False)
                self.Q = nn.Linear(row.k, row.d, bias=False)

        def forward(self, X):
            h = self.encoder(X)
            if not row.linear_path:
                return self.decoder(h)
            h = h + self.P(X)
            return self.decoder(h) + self.Q(h)

    return torch, Model()


def torch_loop(row, *, compile_step=False):
    torch, model = torch_model(row)
    X = torch.from_numpy(row.rows())
    if row.scoring:
        return torch_scoring(row, torch, model, X)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def loss_of(batch):
        return ((model(batch) - batch) ** 2).sum(1).mean()

    if compile_step:
        loss_of = torch.compile(loss_of)

    whole = torch.randperm(row.n)

    def work(rows):
        done = 0
        while done < rows:
            order = whole[: rows - done]
            for start in range(0, len(order), row.batch):
                index = order[start : start + row.batch]
                if compile_step and len(index) < row.batch:
                    continue  # another shape would be compiled once more
                loss = loss_of(X[index])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            done += len(order)

    return work, None


def torch_compiled(row):
    return torch_loop(row, compile_step=True)


def torch_scoring(row, torch, model, X):
    """Batched inference at the best of several batch sizes, found before measuring."""

    def score(rows, batch=None):
        with torch.inference_mode():
            for start in range(0, rows, batch or best):
                Z = X[start : start + (batch or best)]
                ((model(Z) - Z) ** 2).sum(1)

    best, seconds = 0, np.inf
    for size in (1024, 4096, 16_384, 65_536):
        score(200_000, size)
        began = clock()
        score(200_000, size)
        if clock() - began < seconds:
            best, seconds = size, clock() - began
    return score, row.n


def torch_loader(row):
    """As most tutorials write it: a DataLoader, plain Adam."""
    torch, model = torch_model(row)
    data = torch.utils.data.TensorDataset(torch.from_numpy(row.rows()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def work(rows):
        loader = torch.utils.data.DataLoader(data, batch_size=row.batch, shuffle=True)
        done = 0
        while done < rows:
            for (batch,) in loader:
                loss = ((model(batch) - batch) ** 2).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                done += len(batch)
                if done >= rows:
                    break

    return work, None


def jax_forward(row, g, theta, X):
    """Return A_hat."""
    half, last = len(row.widths) // 2, len(row.widths) - 2
    below, code = X, None
    for i, (W, b) in enumerate(zip(theta["W"], theta["b"], strict=True)):
        a = below @ W + b
        if i == half - 1 and row.linear_path:
            a = a + X @ theta["P"]
        if i == last:
            return a + code @ theta["Q"] if row.linear_path else a
        below = a if i == half - 1 and row.hidden else g(a)
        code = below if i == half - 1 else code
    return None


def jax_scoring(row, losses, X):
    def score(rows):
        for start in range(0, rows, 16_384):
            losses(X[start : start + 16_384]).block_until_ready()

    return score, row.n


def jax_scan(row):
    """The whole epoch in one compiled scan."""
    import jax
    import jax.numpy as jnp

    X = jnp.asarray(row.rows())
    g = {"sigmoid": jax.nn.sigmoid, "silu": jax.nn.silu}[row.g]
    rng = np.random.default_rng(1)

    def draw(*shape):
        return jnp.asarray(0.1 * rng.standard_normal(shape), jnp.float32)

    pairs = list(pairwise(row.widths))
    theta = {"W": [draw(a, b) for a, b in pairs], "b": [draw(b) for _, b in pairs]}
    if row.linear_path:
        theta |= {"P": draw(row.d, row.k), "Q": draw(row.k, row.d)}

    forward = partial(jax_forward, row, g)

    def loss(theta, batch):
        return ((forward(theta, batch) - batch) ** 2).sum(1).mean()

    if row.scoring:
        return jax_scoring(row, jax.jit(lambda Z: ((forward(theta, Z) - Z) ** 2).sum(1)), X)

    def step(carry, index):
        theta, mu, nu, t = carry
        grad = jax.grad(loss)(theta, X[index])
        t = t + 1
        mu = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, mu, grad)
        nu = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, nu, grad)
        theta = jax.tree.map(
            lambda p, m, v: p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8),
            theta,
            mu,
            nu,
        )
        return (theta, mu, nu, t), 0.0

    steps = row.n // row.batch
    order = jnp.asarray(rng.permutation(row.n)[: steps * row.batch].reshape(steps, row.batch))

    @jax.jit
    def epoch(carry, order):
        return jax.lax.scan(step, carry, order)[0]

    zeros = jax.tree.map(jnp.zeros_like, theta)
    carry = (theta, zeros, zeros, jnp.float32(0))

    def work(rows):
        nonlocal carry
        for _ in range(max(1, round(rows / row.n))):
            carry = epoch(carry, order)
        jax.block_until_ready(carry)

    return work, "epochs"


def keras_jax(row):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    half = len(row.widths) // 2
    x = inputs = keras.Input((row.d,))
    code = None
    for i, width in enumerate(row.widths[1:]):
        last, is_code = i == len(row.widths) - 2, i == half - 1
        plain = last or (is_code and row.hidden)
        x = keras.layers.Dense(width, activation=None if plain else row.g)(x)
        if is_code and row.linear_path:
            x = x + keras.layers.Dense(row.k, use_bias=False)(inputs)
        code = x if is_code else code
        if last and row.linear_path:
            x = x + keras.layers.Dense(row.d, use_bias=False)(code)
    model = keras.Model(inputs, x)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    X = row.rows()
    if row.scoring:
        return (lambda rows: model.predict(X[:rows], batch_size=16_384, verbose=0)), row.n

    def work(rows):
        model.fit(X, X, batch_size=row.batch, epochs=max(1, round(rows / row.n)), verbose=0)

    return work, "epochs"


def scikit_learn(row):
    """MLPRegressor: one activation for all layers, no linear path."""
    import warnings

    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore")
    if row.scoring:
        raise NotImplementedError
    g = "logistic" if row.g == "sigmoid" else "relu"
    X = row.rows()

    def work(rows):
        MLPRegressor(
            hidden_layer_sizes=row.widths[1:-1],
            activation=g,
            alpha=0,
            batch_size=row.batch,
            n_iter_no_change=10**9,
            max_iter=max(1, round(rows / row.n)),
            random_state=0,
            tol=0,
        ).fit(X, X)

    return work, "epochs"


def pyod(row):
    import contextlib
    import io

    from pyod.models.auto_encoder import AutoEncoder

    if row.scoring:
        raise NotImplementedError
    X = row.rows()

    def work(rows):
        model = AutoEncoder(
            hidden_neuron_list=list(row.widths[1 : len(row.widths) // 2 + 1]),
            hidden_activation_name="sigmoid" if row.g == "sigmoid" else "relu",
            batch_norm=False,
            dropout_rate=0.0,
            batch_size=row.batch,
            verbose=0,
            epoch_num=max(1, round(rows / row.n)),
        )
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model.fit(X)

    return work, "epochs"


PEERS = {
    "xhat": xhat,
    "floor": floor,
    "torch": torch_loop,
    "torch.compile": torch_compiled,
    "torch DataLoader": torch_loader,
    "jax scan": jax_scan,
    "keras on jax": keras_jax,
    "scikit-learn": scikit_learn,
    "pyod": pyod,
    "xhat reference": xhat_reference,
    "fit float32": partial(fit, dtype=np.float32),
    "fit float64": partial(fit, dtype=np.float64),
}
#: What a peer imports, once for however many models: not part of a cold measurement.
IMPORTS = {
    "torch": "torch",
    "jax scan": "jax.numpy",
    "scikit-learn": "sklearn.neural_network",
    "pyod": "pyod.models.auto_encoder",
    "fit float32": "xhat.estimator",
    "fit float64": "xhat.estimator",
}
EPOCHS = 5


def cold(peer, row):
    """Return the seconds of a model's first five epochs in this process."""
    importlib.import_module(IMPORTS[peer])
    row.rows()
    began = clock()
    work, _ = PEERS[peer](row)
    work(EPOCHS * row.n)
    return clock() - began


def main():
    answers = os.fdopen(os.dup(1), "w")  # what a peer prints must not mix with the answers
    os.dup2(2, 1)
    if CPU:
        os.sched_setaffinity(0, {os.getpid() % os.cpu_count()})
    peer, row = sys.argv[1], ROWS[sys.argv[2]]
    if "cold" in sys.argv:
        print(json.dumps({"seconds": cold(peer, row)}), file=answers, flush=True)
        return
    try:
        work, unit = PEERS[peer](row)
        work(unit if isinstance(unit, int) else row.n if unit else 4 * row.batch)  # compiles
        rows = unit if isinstance(unit, int) else row.n if unit else 20 * row.batch
        began = clock()
        work(rows)
        rate = rows / (clock() - began)
        if not isinstance(unit, int):
            rows = max(rows, int(SECONDS * rate))
            rows = (
                max(1, round(rows / row.n)) * row.n if unit else -(-rows // row.batch) * row.batch
            )
        print(json.dumps({"rows": rows}), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    for line in sys.stdin:
        if line.strip() != "go":
            break
        began = clock()
        work(rows)
        seconds = clock() - began
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
