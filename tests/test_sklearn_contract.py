"""scikit-learn's own checks in full, default and textbook model: no expected failure."""

import importlib

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from xhat import Autoencoder

EXTRA = [
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_get_feature_names_out_error",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
]


@parametrize_with_checks([Autoencoder(), Autoencoder.textbook()])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.SkipTestWarning")
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator", [Autoencoder(), Autoencoder.textbook()], ids=["default", "textbook"]
)
@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_extra_checks(estimator, name):
    checks = importlib.import_module("sklearn.utils.estimator_checks")
    check = getattr(checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    check(type(estimator).__name__, estimator)
