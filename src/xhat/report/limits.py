"""How much a report may hold: every limit has a name, and what it cut is said in the page.

Knows: numbers of rows, columns, weights and bytes. Must not know: models.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Limits:
    """What a report holds at most; the defaults keep every page below one megabyte.

    Attributes
    ----------
    max_size : int
        Bytes of the whole page.
    points : int or None
        Rows drawn in the code plane; None: up to 5,000, fewer where there are many columns.
    columns : int
        Columns shown in detail.
    strangest : int
        Strangest rows listed.
    weights : int
        Decoder weights exported for the sliders; above, curves computed beforehand.
    units : int
        Units shown in detail.
    originals : int
        Rows shown beside their reconstruction.
    reasons : int
        Columns named for each of the strangest rows.
    epochs : int
        Points of the loss curves.
    """

    max_size: int = 1_000_000
    points: int | None = None
    columns: int = 50
    strangest: int = 200
    weights: int = 200_000
    units: int = 32
    originals: int = 12
    reasons: int = 8
    epochs: int = 400

    def smaller(self) -> Limits:
        """Return limits for a page of roughly three quarters the size."""
        return replace(
            self,
            points=max(50, int((self.points or 2_000) * 0.6)),
            columns=max(5, int(self.columns * 0.8)),
            strangest=max(10, int(self.strangest * 0.7)),
            weights=int(self.weights * 0.7),
            units=max(2, int(self.units * 0.7)),
            originals=max(2, int(self.originals * 0.8)),
            reasons=max(3, self.reasons - 1),
        )


@dataclass
class Cuts:
    """What did not fit, and the argument that lifts each limit."""

    said: list[dict[str, str]] = field(default_factory=list)

    def note(self, what: str, shown: int, total: int, argument: str) -> None:
        """Write down that only ``shown`` of ``total`` are in the page, if so."""
        if shown < total:
            self.say(f"{shown:,} of {total:,} {what}", f"{argument}={total}")

    def say(self, what: str, how: str) -> None:
        """Write down a cut and the way around it."""
        self.said.append({"what": what, "how": how})
