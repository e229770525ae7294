"""xhat: autoencoders for tables and matrices.

Codes, reconstructions, anomaly scores with the columns that caused them, and an honest comparison
with PCA, behind scikit-learn's interface; closed-form gradients, no deep-learning framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xhat.data.kinds import Auto, Binary, Categorical, Count, Real
    from xhat.errors import (
        DataError,
        MissingExtraError,
        ModelFileError,
        ParameterError,
        TrainingError,
        XhatError,
    )
    from xhat.estimator import Autoencoder
    from xhat.maths.corruption import Gaussian, Masking, SaltAndPepper
    from xhat.maths.penalties import L2, Contractive, KLSparsity, L1Code
    from xhat.persist import load
    from xhat.train.monitor import EarlyStopping
    from xhat.train.optimizers import LBFGS, SGD, Adam
    from xhat.train.schedules import Constant, Cosine, OneCycle
    from xhat.verdict import Comparison

__version__ = "0.1.0"

__all__ = [
    "L2",
    "LBFGS",
    "SGD",
    "Adam",
    "Auto",
    "Autoencoder",
    "Binary",
    "Categorical",
    "CheckpointError",
    "Comparison",
    "Constant",
    "Contractive",
    "Cosine",
    "Count",
    "DataError",
    "EarlyStopping",
    "Gaussian",
    "KLSparsity",
    "L1Code",
    "Masking",
    "MissingExtraError",
    "ModelFileError",
    "OneCycle",
    "ParameterError",
    "Real",
    "SaltAndPepper",
    "TrainingError",
    "XhatError",
    "load",
]

#: Where each public name lives. It is imported at its first use, so that ``xhat --help`` does not
#: wait for scikit-learn.
_HOMES = {
    "Auto": "xhat.data.kinds",
    "Binary": "xhat.data.kinds",
    "Categorical": "xhat.data.kinds",
    "Count": "xhat.data.kinds",
    "Real": "xhat.data.kinds",
    "CheckpointError": "xhat.errors",
    "DataError": "xhat.errors",
    "MissingExtraError": "xhat.errors",
    "ModelFileError": "xhat.errors",
    "ParameterError": "xhat.errors",
    "TrainingError": "xhat.errors",
    "XhatError": "xhat.errors",
    "Autoencoder": "xhat.estimator",
    "Gaussian": "xhat.maths.corruption",
    "Masking": "xhat.maths.corruption",
    "SaltAndPepper": "xhat.maths.corruption",
    "L2": "xhat.maths.penalties",
    "Contractive": "xhat.maths.penalties",
    "KLSparsity": "xhat.maths.penalties",
    "L1Code": "xhat.maths.penalties",
    "load": "xhat.persist",
    "EarlyStopping": "xhat.train.monitor",
    "LBFGS": "xhat.train.optimizers",
    "SGD": "xhat.train.optimizers",
    "Adam": "xhat.train.optimizers",
    "Constant": "xhat.train.schedules",
    "Cosine": "xhat.train.schedules",
    "OneCycle": "xhat.train.schedules",
    "Comparison": "xhat.verdict",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'xhat' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
