"""Numbers on their way into a page: base64 of little-endian arrays, plain and finite JSON.

Knows: arrays. Must not know: models, HTML beyond what a script element may not hold.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

#: Characters of a name that are kept: long enough to tell columns apart.
NAME = 120


def pack(values: npt.ArrayLike, dtype: str = "<f4") -> dict[str, Any]:
    """Return an array as base64 with its type and shape; the page's ``unpack`` reads it.

    Numbers that the type does not reach are in double precision.

    Examples
    --------
    >>> pack([[1.0, 2.0]])
    {'dtype': '<f4', 'shape': [1, 2], 'data': 'AACAPwAAAEA='}
    """
    found = np.asarray(values)
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(found, dtype=dtype)
    if array.dtype.kind == "f" and np.isinf(array).sum() > np.isinf(found).sum():
        dtype = "<f8"
        array = np.ascontiguousarray(found, dtype=dtype)
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": dtype, "shape": list(array.shape), "data": data}


def unpack(packed: dict[str, Any]) -> npt.NDArray[Any]:
    """Return the array that ``pack`` made text of."""
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype=packed["dtype"])
    return flat.reshape(packed["shape"])


def short(text: object, limit: int = NAME) -> str:
    """Return a text of at most ``limit`` characters: its beginning and its end.

    Examples
    --------
    >>> short("temperature_of_the_sensor_17", 12)
    'tempera…r_17'
    """
    whole = str(text)
    tail = limit // 3
    middle = "\N{HORIZONTAL ELLIPSIS}"
    return whole if len(whole) <= limit else whole[: limit - tail - 1] + middle + whole[-tail:]


def rounded(values: npt.ArrayLike, digits: int = 9) -> Any:
    """Return numbers as lists with so many significant digits; NaN and infinity are None."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        value = float(array)
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return [rounded(part, digits) for part in array]


def plain(value: Any) -> Any:
    """Return nested values as JSON can hold them; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)


def script_json(value: Any) -> str:
    r"""Return JSON that is safe inside a script element, whatever the texts hold.

    Examples
    --------
    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
