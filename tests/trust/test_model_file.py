# ruff: noqa: E501
"""Hostile model files: mutants, bit flips, limits. Nothing but ModelFileError, quickly, in bounds."""

import resource
import time
import warnings

import mutants
import numpy as np
import pandas as pd
import pytest

from xhat import L2, Autoencoder, EarlyStopping, Masking, ModelFileError, OneCycle, container, load
from xhat.__main__ import run
from xhat.persist import to_bytes


def small_model():
    """About the smallest file: two columns, one unit."""
    X = np.linspace(0, 1, 24).reshape(12, 2) ** 2
    return Autoencoder(1, heads="real", random_state=0).fit(X)


def rich_model():
    """A model with every kind of column and of object."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "real": rng.normal(size=300),
            "flag": rng.integers(0, 2, 300).astype(bool),
            "level": rng.choice(["a", "b", "c", '"sha256": "'], 300),
            "count": np.where(rng.random(300) < 0.6, 0, rng.integers(0, 9, 300)),
        }
    )
    ae = Autoencoder(
        2, hidden=(6,), max_iter=2, penalty=(L2(),), corruption=Masking(0.1), random_state=0,
        learning_rate=OneCycle(1e-3), stopping=EarlyStopping(3),
    )  # fmt: skip
    return ae.fit(frame)


@pytest.fixture(scope="module")
def small():
    return to_bytes(small_model())


@pytest.fixture(scope="module")
def rich():
    return to_bytes(rich_model())


def outcome(path, data):
    """Load a file; return "loaded", or the refusal, after checking how it was refused."""
    path.write_bytes(data)
    began = time.process_time()
    try:
        ae = load(path)
    except ModelFileError as error:
        result = str(error)
    else:
        result = ae
    assert time.process_time() - began < 1, "a hang"
    assert not (isinstance(result, str) and "\n" in result)
    return result


def attack(path, seeds, count, rng):
    """Load ``count`` mutants; return how many of each kind were made and how many were loaded."""
    made, loaded = {}, {}
    for number in range(count):
        kind, data = mutants.mutant(seeds[number % len(seeds)], rng)
        made[kind] = made.get(kind, 0) + 1
        result = outcome(path, data)
        if not isinstance(result, str):
            loaded[kind] = loaded.get(kind, 0) + 1
            # What is loaded after all must work: a forged file may change values, no more.
            if loaded[kind] < 20:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    result._fit.model.codes(np.zeros((2, len(result._fit.model.schema.columns))))
    return made, loaded


@pytest.mark.parametrize("part", range(4))
def test_mutants(tmp_path, small, rich, part):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made, loaded = attack(tmp_path / "m.xhat", [small, rich], 1250, np.random.default_rng(part))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(made) == len(set(mutants.KINDS))
    assert grown < 64 * 1024 + 3 * len(rich) // 1024  # KB
    for kind in ("flip", "cut", "grow", "duplicate_key", "deep"):
        assert kind not in loaded


@pytest.mark.nightly
def test_100_000_mutants(tmp_path, small, rich, figures):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made, loaded = attack(tmp_path / "m.xhat", [small, rich], 100_000, np.random.default_rng(99))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    made, loaded = sum(made.values()), sum(loaded.values())
    assert made == 100_000
    assert grown < 64 + 3 * len(rich) / 2**20  # MB
    figures("mutants", {"mutants": made, "refused": made - loaded, "grown": grown})


def test_every_single_bit_flip_is_refused(tmp_path, small):
    everyday = range(0, 8 * len(small), 7)
    assert flips(tmp_path / "m.xhat", small, everyday) == len(everyday)


@pytest.mark.nightly
def test_all_bit_flips(tmp_path, small, figures):
    refused = flips(tmp_path / "m.xhat", small, range(8 * len(small)))
    assert refused == 8 * len(small)
    figures("bit flips", {"bits": 8 * len(small), "refused": refused})


def flips(path, data, bits):
    refused = 0
    for bit in bits:
        out = bytearray(data)
        out[bit // 8] ^= 1 << bit % 8
        refused += isinstance(outcome(path, bytes(out)), str)
    return refused


def test_the_reader_and_the_writer_agree(tmp_path, small, rich):
    for data in (small, rich):
        path = tmp_path / "m.xhat"
        path.write_bytes(data)
        assert to_bytes(load(path)) == data
        assert mutants.join(*mutants.split(data)) == data or mutants.resign(data) == data


def test_limits_come_before_memory(tmp_path):
    path = tmp_path / "m.xhat"
    for claimed in (2**26 + 8, 2**40, 2**63):
        path.write_bytes(claimed.to_bytes(8, "little") + b"{" * 100)
        with pytest.raises(ModelFileError, match="wrong layout"):
            load(path)
    with path.open("wb") as file:  # a hole of 1 TB: on disk it takes nothing
        file.write((2**63).to_bytes(8, "little") + b"{")
        file.truncate(2**40)
    with pytest.raises(ModelFileError, match="wrong layout"):
        load(path)


@pytest.mark.parametrize(
    ("text", "reason"), [("[]," * 400_000, "lists"), ('"ab",' * 2_000_000, "texts")]
)
def test_a_header_that_would_blow_up_in_memory_is_refused_unparsed(tmp_path, small, text, reason):
    outer, inner, arrays = mutants.split(small)
    whole = f'{{"format": 1, "sha256": "{"0" * 64}", "x": [{text}0]}}'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"too many {reason}" in outcome(
        tmp_path / "m", mutants.join(outer, inner, arrays, text=whole)
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_devices_and_folders_are_no_model_files(tmp_path, capsys):
    import os

    os.mkfifo(tmp_path / "pipe")
    for path, code in [(tmp_path / "pipe", 65), ("/dev/zero", 65), (tmp_path, 74)]:
        assert run(["info", str(path)]) == code
        assert capsys.readouterr().err.count("\n") == 1


def test_a_newer_format_is_named_as_such(tmp_path, small):
    outer, inner, arrays = mutants.split(small)
    newer = mutants.join(outer, {**inner, "format": 7, "xhat_version": "9.1"}, arrays)
    assert "written in format 7 by xhat 9.1; this xhat reads formats up to 1: update" in outcome(
        tmp_path / "m", newer
    )


def test_info_shows_no_control_characters_of_a_hostile_file(tmp_path, small, capsys):
    outer, inner, arrays = mutants.split(small)
    inner["choices"] = {"x\x1b[2J": "\x07\u202e"}
    path = tmp_path / "m.xhat"
    path.write_bytes(mutants.join(outer, inner, arrays))
    assert run(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u202e" not in out


def test_info_survives_mutants(tmp_path, small, rich, capsys):
    rng = np.random.default_rng(5)
    path = tmp_path / "m.xhat"
    for number in range(300):
        path.write_bytes(mutants.mutant([small, rich][number % 2], rng)[1])
        code = run(["info", str(path)])
        _, err = capsys.readouterr()
        assert code in (0, 65), err
        assert err.count("\n") == (code == 65)
        assert len(err) <= 301


def test_limits_leave_room_for_wide_tables():
    names = [f"column number {j}" for j in range(20_000)]
    entry = {
        "name": "",
        "kind": {"class": "Real", "f": "linear", "scale": "std"},
        "places": [],
        "width": 1,
    }
    import json

    text = json.dumps({"columns": [{**entry, "name": n} for n in names], "storage": names})
    assert container._parse(text.encode())["storage"] == names
