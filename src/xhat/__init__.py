"""xhat: autoencoders for tables and matrices.

Codes, reconstructions, anomaly scores with the columns that caused them, and an honest comparison
with PCA, behind scikit-learn's interface; closed-form gradients, no deep-learning framework.
"""

from xhat.data.columns import Auto, Binary, Real
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
    "Comparison",
    "Constant",
    "Contractive",
    "Cosine",
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
