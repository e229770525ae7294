"""Fields hold Python's own numbers: what is fitted can be saved and loaded, or is refused."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from xhat import (
    L2,
    LBFGS,
    SGD,
    Adam,
    Auto,
    Autoencoder,
    Categorical,
    Constant,
    Contractive,
    Cosine,
    EarlyStopping,
    Gaussian,
    KLSparsity,
    L1Code,
    Masking,
    ModelFileError,
    OneCycle,
    ParameterError,
    Real,
    SaltAndPepper,
    load,
)
from xhat.fields import as_plain, said

X = np.random.default_rng(0).normal(size=(60, 4))
HUGE = 10**5000  # more digits than Python prints


def fitted(**parameters):
    return Autoencoder(2, **{"max_iter": 1, "random_state": 0, **parameters}).fit(X)


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (lambda: EarlyStopping(20.0, 0, Fraction(1, 2)), EarlyStopping(20, 0.0, 0.5)),
        (lambda: EarlyStopping(np.int8(3), np.float32(0.5)), EarlyStopping(3, 0.5)),
        (lambda: Adam(beta1=Decimal("0.5"), beta2=np.longdouble(0.5)), Adam(0.5, 0.5)),
        (lambda: SGD(0, np.False_), SGD(0.0, nesterov=False)),
        (lambda: LBFGS(Decimal(5), np.float64(0.5)), LBFGS(5, 0.5)),
        (lambda: Categorical(2.0, np.uint8(1)), Categorical(2, 1)),
        (lambda: Masking(Fraction(1, 4), 1), Masking(0.25, 1.0)),
        (lambda: Gaussian(1), Gaussian(1.0)),
        (lambda: KLSparsity(np.float32(0.5), 2), KLSparsity(0.5, 2.0)),
        (lambda: Constant(Fraction(1, 4)), Constant(0.25)),
        (lambda: Real(np.str_("std")), Real("std")),
    ],
)  # fmt: skip
def test_numbers_of_other_libraries_become_pythons(made, plain):
    assert repr(made()) == repr(plain)  # the types too: 1 == 1.0 == True


FINITE, WHOLE = "a finite number >= 0", "a whole number >= 1"
SCALES = "one of 'auto', 'std', 'robust', 'asinh', None"


@pytest.mark.parametrize(
    ("make", "shown", "allowed"),
    [
        (lambda: L2("0.1"), "L2(weight='0.1')", FINITE),
        (lambda: L2(np.array([0.1])), "L2(weight=array([0.1]))", FINITE),
        (lambda: L1Code(True), "L1Code(weight=True)", FINITE),
        (lambda: Contractive(np.inf), "Contractive(weight=inf)", FINITE),
        (lambda: KLSparsity(None), "KLSparsity(rho=None)", "a number in (0, 1)"),
        (lambda: KLSparsity(1), "KLSparsity(rho=1)", "a number in (0, 1)"),
        (lambda: Constant(True), "Constant(rate=True)", "a finite number > 0"),
        (lambda: Cosine(0), "Cosine(rate=0)", "a finite number > 0"),
        (lambda: OneCycle(None), "OneCycle(rate=None)", "a finite number > 0"),
        (lambda: OneCycle(1, "1"), "OneCycle(warmup='1')", "a number in (0, 1)"),
        (lambda: Adam(beta1="0.9"), "Adam(beta1='0.9')", "a number in [0, 1)"),
        (lambda: Adam(eps=0), "Adam(eps=0)", "a number in (0, 1e+30]"),
        (lambda: Adam(clip=1), "Adam(clip=1.0)", "0 (never) or more than 1"),
        (lambda: Adam(Decimal("sNaN")), "Adam(beta1=Decimal('sNaN'))", "a number in [0, 1)"),
        (lambda: SGD(nesterov=1), "SGD(nesterov=1)", "True or False"),
        (lambda: SGD(nesterov="no"), "SGD(nesterov='no')", "True or False"),
        (lambda: LBFGS(0), "LBFGS(memory=0)", "a whole number in [1, 1000]"),
        (lambda: LBFGS(tol=np.nan), "LBFGS(tol=nan)", "a number >= 0"),
        (lambda: EarlyStopping(None), "EarlyStopping(patience=None)", WHOLE),
        (lambda: EarlyStopping(2.5), "EarlyStopping(patience=2.5)", WHOLE),
        (lambda: EarlyStopping(np.inf), "EarlyStopping(patience=inf)", WHOLE),
        (lambda: EarlyStopping(HUGE), f"EarlyStopping(patience={said(HUGE)})", WHOLE),
        (lambda: EarlyStopping(1, -1), "EarlyStopping(min_delta=-1)", "a number >= 0"),
        (lambda: Categorical("5"), "Categorical(max_levels='5')", WHOLE),
        (lambda: Categorical(True), "Categorical(max_levels=True)", WHOLE),
        (lambda: Categorical(5, 2.5), "Categorical(min_rows=2.5)", WHOLE),
        (lambda: Masking(0.2, True), "Masking(visible=True)", "a number in [0, 1]"),
        (lambda: Masking([0.2]), "Masking(p=[0.2])", "a number in [0, 1)"),
        (lambda: Gaussian("1"), "Gaussian(sigma='1')", FINITE),
        (lambda: SaltAndPepper(1), "SaltAndPepper(p=1)", "a number in [0, 1)"),
        (lambda: Real(["std"]), "Real(scale=['std'])", SCALES),
        (lambda: Real("std", ["linear"]), "Real(f=['linear'])", "a text"),
        (lambda: Auto("log"), "Auto(scale='log')", SCALES),
    ],
)
def test_what_a_field_cannot_be_is_refused_in_one_line(make, shown, allowed):
    name = shown.split("(")[1].split("=")[0]
    with pytest.raises(ParameterError) as caught:
        make()
    assert str(caught.value) == f"{shown}: {name} must be {allowed}"


@pytest.mark.parametrize(
    "parameters",
    [
        {"stopping": EarlyStopping(20.0)},
        {"stopping": EarlyStopping(5, np.inf)},
        {"stopping": 5.0},
        {"optimizer": LBFGS(tol=np.inf)},
        {"optimizer": Adam(beta1=Decimal("0.9"))},
        {"heads": Real(np.str_("std"))},
        {"validation_fraction": Fraction(1, 5)},
        {"contamination": Decimal("0.1")},
        {"learning_rate": np.longdouble(0.01)},
        {"batch_size": Fraction(20, 1), "max_iter": 2.0, "hidden": [np.int8(3), 4.0]},
        {"linear_path": 0, "verbose": np.False_, "random_state": np.uint8(3)},
        {"penalty": [L2(np.float32(0.5)), L1Code(1)]},
    ],
    ids=str,
)
def test_what_is_fitted_can_be_saved_and_loaded(parameters, tmp_path):
    ae = fitted(**parameters)
    ae.save(tmp_path / "m.xhat")
    back = load(tmp_path / "m.xhat")
    np.testing.assert_array_equal(back.transform(X), ae.transform(X))
    back.save(tmp_path / "again.xhat")
    assert (tmp_path / "again.xhat").read_bytes() == (tmp_path / "m.xhat").read_bytes()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": {L2()}}, "penalty={L2(weight=0.0001)}: expected None, L2()"),
        ({"penalty": {L2(): 1}}, "penalty={L2(weight=0.0001): 1}: expected None, L2()"),
        ({"penalty": (p for p in [L2()])}, "penalty=<generator"),
        ({"linear_path": np.array([1, 2])}, "linear_path=array([1, 2]): expected 'auto', True or"),
        ({"linear_path": 2}, "linear_path=2: expected 'auto', True or False"),
        ({"random_state": True}, "random_state=True: expected None"),
        ({"hidden": (True,)}, "hidden=(True,): expected 'auto' or widths"),
        ({"hidden": (HUGE,)}, "hidden=a tuple of numbers of many digits: expected"),
        ({"hidden": (2.5,)}, "hidden=(2.5,): expected 'auto' or widths"),
        ({"max_iter": 2.5}, "max_iter=2.5: expected 'auto' or a whole number"),
        ({"max_iter": True}, "max_iter=True: expected 'auto' or a whole number"),
        ({"validation_fraction": "0.1"}, "validation_fraction='0.1': expected a number from 0 to"),
        ({"learning_rate": np.inf}, "learning_rate=inf: expected 'auto', a number > 0"),
    ],
)  # fmt: skip
def test_what_could_not_be_loaded_is_not_fitted(parameters, message):
    with pytest.raises(ParameterError) as caught:
        fitted(**parameters)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


class Mine(L2):
    """A penalty that no model file can name."""


class Wider(Autoencoder):
    """Has a parameter that ``load`` does not know."""

    def __init__(self, n_components="auto", *, more=1):
        super().__init__(n_components, max_iter=1)
        self.more = more


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fitted(penalty=Mine()), r"parameter 'penalty' cannot be saved: .*Mine\(weight"),
        (lambda: Wider(2).fit(X), "could not be loaded again: .*more"),
    ],
)
def test_nothing_is_written_that_could_not_be_loaded(make, message, tmp_path):
    ae = make()
    with pytest.raises(ModelFileError, match=message):
        ae.save(tmp_path / "m.xhat")
    assert not list(tmp_path.iterdir())


def test_only_numbers_are_changed():
    assert as_plain(Decimal("20.00000000000000000001"), int) == Decimal("20.00000000000000000001")
    assert as_plain(10**400, float) == np.inf
    for value in ("1", None, b"1", 1j, (1,)):
        assert as_plain(value, int) is value


def test_long_values_are_said_on_one_line():
    assert said(np.eye(2)) == "array([[1., 0.], [0., 1.]])"
    assert len(said("x" * 1000)) == 200
