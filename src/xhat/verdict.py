"""The verdict: mean, PCA and xhat on the same rows at the same code size, and one sentence.

Knows: three losses and where they were taken. Must not know: how they were computed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Comparison:
    """Losses of the mean, of PCA and of xhat on the same rows at the same code size.

    Attributes
    ----------
    mean, pca, xhat : float
        Mean loss per row: squared errors (in the scale of ``unit``) and cross-entropies in nats,
        summed over the columns.
    n_components : int
        Code size k of PCA and xhat.
    n_rows : int
        Rows the losses were taken on.
    rows : str
        Which rows these are.
    unit : str
        The scale of the loss.
    is_pca : bool
        Whether the model *is* PCA (it won on the held-out rows, or the table is tiny).
    angles : list of float or None
        Principal angles in radians between the decoder's span and PCA's, for linear models.
    """

    mean: float
    pca: float
    xhat: float
    n_components: int
    n_rows: int
    rows: str
    unit: str
    is_pca: bool = False
    angles: list[float] | None = None

    @property
    def ratio(self) -> float:
        """Return the loss of xhat divided by that of PCA (1 where both are 0)."""
        if self.pca == self.xhat:
            return 1.0
        return self.xhat / self.pca if self.pca > 0 else float("inf")

    @property
    def sentence(self) -> str:
        """Say in one sentence which wins."""
        where = f"on {self.n_rows} {self.rows} at {self.n_components} units"
        if self.is_pca:
            return f"The model is PCA: nothing beat it {where}."
        if self.ratio > 1.005:
            return f"PCA wins {where}: xhat's loss is {self.ratio:.2f} times PCA's; use PCA, or a deeper xhat."
        if self.ratio > 0.995:
            return f"A draw {where}: xhat's loss is {self.ratio:.3f} times PCA's; PCA is enough."
        return f"xhat wins {where}: its loss is {self.ratio:.2f} times PCA's."

    def __str__(self) -> str:
        lines = [f"loss per row ({self.unit})"]
        lines += [
            f"  {name:<5}{value:>12.4f}"
            for name, value in (("mean", self.mean), ("PCA", self.pca), ("xhat", self.xhat))
        ]
        if self.angles is not None:
            lines.append(f"largest angle to PCA's span: {max(self.angles):.4f} rad")
        return "\n".join([*lines, self.sentence])

    def to_dict(self) -> dict[str, object]:
        """Return the fields, the ratio and the sentence as plain values."""
        return {**asdict(self), "ratio": self.ratio, "sentence": self.sentence}
