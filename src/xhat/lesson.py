"""For students and the careful: every quantity of one row's derivation, gradients checked.

Knows: the equations' names. Must not know: training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xhat.data.batches import dense
from xhat.errors import DataError, warn
from xhat.fitting import Fit
from xhat.maths import heads
from xhat.maths.objective import Batch, Objective, decode, encode, loss_and_grad
from xhat.maths.params import Views
from xhat.maths.types import Matrix, Vector
from xhat.model import Model
from xhat.settings import Request

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """Every quantity of the derivation for one row, by the name it has in docs/maths.md.

    ``quantities`` maps names to arrays: x, a1, h1, a2, h2 (= x_hat), loss, each factor of the two
    chains, and the gradient of every parameter. Index it like a dict; print it to read it.
    """

    quantities: dict[str, Floats]

    def __getitem__(self, name: str) -> Floats:
        return self.quantities[name]

    def keys(self) -> list[str]:
        """Names in the order of the derivation."""
        return list(self.quantities)

    def __str__(self) -> str:
        with np.printoptions(precision=6, suppress=True, threshold=60):
            parts = [
                f"{name} {value.shape if value.ndim else ''}\n  {_indent(value)}"
                for name, value in self.quantities.items()
            ]
        return "\n".join(parts)


def _indent(value: Floats) -> str:
    return str(value).replace("\n", "\n  ")


def trace(model: Model, x: Matrix) -> Trace:
    """Return the trace of one raw row x, shape (1, d).

    A missing cell is filled as for ``transform``: it has a value in x, no loss, no gradient.
    """
    if x.shape[0] != 1:
        raise DataError(f"trace takes one row, and these are {x.shape[0]}: give one, such as X[:1]")
    net, theta = model.net, model.parameters(np.float64)
    views = Views(net, theta)
    ((_, batch),) = model.by_tile(x.astype(np.float64), lambda _, tile: tile)
    Z = batch.X
    enc = encode(net, views, Z)
    dec = decode(net, views, enc.H[-1])
    grad = np.empty_like(theta)
    loss = loss_and_grad(Objective(net), theta, batch, grad)
    q: dict[str, Floats] = {"x": Z[0]}
    for layer in range(net.depth):
        mark = "1" if net.depth == 1 else f"1.{layer + 1}"
        q[f"a{mark}"], q[f"h{mark}"] = enc.A[layer][0], enc.H[layer][0]
    for layer in range(net.depth - 1):
        q[f"a2.{layer + 1}"], q[f"h2.{layer + 1}"] = dec.A[layer][0], dec.H[layer][0]
    q["a2"] = dec.A_hat[0]
    q["h2"] = heads.predict(net.blocks, dec.A_hat)[0]
    q["loss"] = np.asarray(loss)
    if net.depth == 1:
        q.update(_chain(model, views, batch, enc.A[0], enc.H[0], dec.A_hat))
    q.update({f"dL/d{name}": np.array(view, np.float64) for name, view in Views(net, grad).items()})
    return Trace({name: np.asarray(value, dtype=np.float64) for name, value in q.items()})


def _chain(
    model: Model, views: Views, batch: Batch, A: Matrix, H: Matrix, A_hat: Matrix
) -> dict[str, Floats]:
    """Return each factor of dL/dW* and dL/dW on its own, for one layer.

    dL/dW* = dL/dh2 * dh2/da2 * da2/dW*, and dL/dW = dL/dh2 * dh2/da2 * da2/dh1 * dh1/da1 * da1/dW,
    where da2/dh1 = W*, da2/dW* = h1 and da1/dW = x.
    """
    blocks, Z = model.net.blocks, batch.X
    observed = 1 if batch.mask is None else batch.mask[0]
    W_star, _ = views.decoder(0)
    dL_da2 = heads.cell_grad(blocks, A_hat, Z)[0] * observed
    dh2_da2 = np.hstack([heads.output_slope(b.head, A_hat[:, b.columns]) for b in blocks])[0]
    dL_dh2 = (
        np.hstack(
            [heads.output_grad(b.head, A_hat[:, b.columns], Z[:, b.columns]) for b in blocks]
        )[0]
        * observed
    )
    dh1_da1 = model.net.encoder_activations[0].derivative(A, H)[0]
    return {
        "dL/dh2": dL_dh2,
        "dh2/da2": dh2_da2,
        "dL/da2": dL_da2,
        "da2/dW*": H[0],
        "da2/dh1": np.array(W_star),
        "dL/dh1": dL_da2 @ W_star,
        "dh1/da1": dh1_da1,
        "dL/da1": (dL_da2 @ W_star) * dh1_da1,
        "da1/dW": Z[0],
    }


def check_gradients(
    model: Model, X: Matrix, request: Request, step: float = 1e-4
) -> dict[str, float]:
    """Return per parameter the largest relative error of the closed form, on at most 64 rows.

    Each parameter is probed along 8 random directions u: u'grad against the central difference of J
    along u, in float64.
    """
    net = model.net
    batch = model.schema.encode(dense(X[:64]).astype(np.float64))
    penalties = tuple(p for p in request.penalties if p.needs(net) is None)
    objective = Objective(net, penalties)
    theta = model.parameters(np.float64)
    grad = np.empty_like(theta)
    loss_and_grad(objective, theta, batch, grad)
    rng = np.random.default_rng(0)
    errors = {}
    for name, shape in net.shapes.items():
        start = net.offsets[name]
        part = slice(start, start + int(np.prod(shape)))
        errors[name] = max(
            _direction_error(objective, theta, batch, grad, part, rng, step) for _ in range(8)
        )
    return errors


def _direction_error(
    objective: Objective,
    theta: Vector,
    batch: Batch,
    grad: Vector,
    part: slice,
    rng: np.random.Generator,
    step: float,
) -> float:
    u = np.zeros_like(theta)
    u[part] = rng.normal(size=u[part].shape)
    u /= np.linalg.norm(u)
    scratch = np.empty_like(theta)
    values = [
        loss_and_grad(objective, theta + t * step * u, batch, scratch) for t in (-2, -1, 1, 2)
    ]
    # Five-point stencil: error of order step**4
    numeric = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    exact = float(u @ grad)
    floor = 1e-3 * float(np.linalg.norm(grad[part])) + 1e-6 * max(1.0, abs(values[1]))
    return abs(numeric - exact) / max(abs(exact), abs(numeric), floor)


def textbook_parameters(model: Model) -> dict[str, Floats]:
    """Return W_, b_, W_star_, c_ of a one-layer model in raw units; {} if there is no such form.

    It has none with more layers, categories or a bent scale.

    Scaling is folded in: W (x - m) / s + b = (W / s) x + (b - W m / s), and for the columns with
    linear f, s (W* h + c) + m = (s W*) h + (s c + m).
    """
    net, schema = model.net, model.schema
    if net.depth != 1 or not schema.plain:
        return {}
    views = Views(net, model.theta.astype(np.float64))
    W, b = views.encoder(0)
    W_star, c = views.decoder(0)
    center, spread = schema.center, schema.spread
    return {
        "W_": W / spread,
        "b_": b - W @ (center / spread),
        "W_star_": W_star * spread[:, None],
        "c_": c * spread + center,
    }


def warn_if_copying(fit: Fit, request: Request) -> None:
    """Warn when nothing keeps an overcomplete code from being a copy of the row."""
    net = fit.model.net
    asked = request.n_components is not None
    if net.k < net.d or not asked or request.penalties or request.corruption is not None:
        return
    warn(
        f"n_components={net.k} >= {net.d} columns: the code can copy the row "
        f"(identity_score_={fit.identity_score:.2f}); give fewer units, corruption=Masking(), or a "
        "penalty such as Contractive() together with tied=True",
    )
