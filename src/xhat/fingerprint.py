"""What a fit depends on, as digests: two fits with equal ones end with the same bytes.

Knows: rows, parameters, engines. Must not know: checkpoints, files.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

from xhat.engines.base import Engine
from xhat.settings import Request
from xhat.sources import Source


def fingerprint(request: Request, sources: Sequence[Source], engine: Engine) -> dict[str, str]:
    """Return the digest of each thing that must be as it was for a fit to be resumed."""
    from xhat import __version__  # noqa: PLC0415

    fields = [f"{f.name}={getattr(request, f.name)!r}" for f in dataclasses.fields(request)]
    return {
        "data": hashlib.sha256("\n".join(s.digest for s in sources).encode()).hexdigest(),
        "parameters": hashlib.sha256("\n".join(fields).encode()).hexdigest(),
        "engine": engine.name,
        "version of xhat": __version__,
    }
