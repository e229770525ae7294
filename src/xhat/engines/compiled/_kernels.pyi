from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[np.floating[Any]]

MAX_LAYERS: int

def instruction_set() -> str: ...
def use_instruction_set(at_most: str) -> str: ...
def evaluate(function: str, x: _Floats, y: _Floats, kind: str) -> None: ...

class Plan:
    def __init__(
        self,
        nodes: list[tuple[int, int, int]],
        matrices: list[tuple[int, int, int, int]],
        edges: list[tuple[int, int, int, int]],
        blocks: list[tuple[int, int, int, float, float]],
        numbers: dict[str, float],
        columns: tuple[_Floats, _Floats, _Floats, npt.NDArray[np.int64]] | None,
        kind: str,
    ) -> None: ...
    def run(
        self,
        theta: _Floats,
        X: _Floats,
        weight: _Floats | None,
        mask: _Floats | None,
        order: npt.NDArray[np.intp],
        batch_size: int,
        learning_rates: npt.NDArray[np.float64],
        key: int,
        first: int,
        step: int,
        slot0: _Floats,
        slot1: _Floats | None,
        decay: _Floats | None,
        norm: _Floats | None,
        losses: npt.NDArray[np.float64],
        threads: int,
    ) -> int: ...
    def loss_and_grad(
        self,
        theta: _Floats,
        X: _Floats,
        weight: _Floats | None,
        mask: _Floats | None,
        grad: _Floats,
        threads: int,
    ) -> float: ...
    def loss(
        self,
        theta: _Floats,
        X: _Floats,
        weight: _Floats | None,
        mask: _Floats | None,
        first: int,
        threads: int,
    ) -> tuple[float, float]: ...
    def infer(
        self, theta: _Floats, rows: _Floats, out: _Floats, origin: int, to: int, threads: int
    ) -> None: ...
    def cells(
        self,
        theta: _Floats,
        X: _Floats,
        mask: _Floats | None,
        low: _Floats | None,
        high: _Floats | None,
        factor: npt.NDArray[np.float64] | None,
        out: npt.NDArray[np.float64],
        codes: _Floats | None,
        code: int,
        excess: bool,
        threads: int,
    ) -> None: ...
    def corrupt(self, X: _Floats, out: _Floats, key: int, first: int) -> None: ...

def nearest(X: _Floats, stored: _Floats, out: npt.NDArray[np.float64], kind: str) -> None: ...
