"""Every operation that writes fails, once and for ever; disks fill up. Old files stay intact."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fits
import numpy as np
import pytest

from xhat import Autoencoder, files
from xhat.__main__ import run
from xhat.data import spool
from xhat.train import checkpoint

COMMANDS = {
    "fit": fits.fit_words(epochs=2),
    "fit with checkpoint": fits.fit_words("--checkpoint", "c", "--resume", epochs=2),
    "score to csv": ["score", "m.xhat", "rows.npy", "-o", "s.csv", "--quiet"],
    "score to jsonl": ["score", "m.xhat", "rows.npy", "-o", "s.jsonl", "--quiet"],
    "score to npy": ["score", "m.xhat", "rows.npy", "-o", "s.npy", "--quiet"],
    "score to parquet": ["score", "m.xhat", "rows.npy", "-o", "s.parquet", "--quiet"],
    "score to arrow": ["score", "m.xhat", "rows.npy", "-o", "s.arrow", "--quiet"],
    "score a folder": ["score", "m.xhat", "in", "-o", "out", "--quiet"],
    "reconstruct": ["reconstruct", "m.xhat", "rows.npy", "-o", "r.csv", "--quiet"],
    "demo": ["demo", "-o", "demo.csv", "--quiet", "--json"],
}


class Fault:
    """Fails the k-th operation, once or for ever; counts them."""

    def __init__(self, k, *, for_ever, number=errno.EIO):
        self.k, self.for_ever, self.number, self.count, self.failed = k, for_ever, number, 0, False

    def __call__(self, operation):
        self.count += 1
        if self.count == self.k or (self.for_ever and self.count > self.k):
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "EVERY", 0)
    monkeypatch.setattr(checkpoint, "PATIENCE", 0)
    fits.make_table(tmp_path, rows=300)
    assert run(fits.fit_words(epochs=2)) == 0
    fits.make_inputs(tmp_path / "in")
    return tmp_path


def everything(folder):
    """Return all files that have final names, by path."""
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.name[0] != "."}


def finals(folder):
    """Return all but the checkpoints: those of a resumed fit have other numbers."""
    return {path: data for path, data in everything(folder).items() if path[:2] != "c/"}


def check_error(capsys, code, words):
    _, err = capsys.readouterr()
    assert code == 74, (code, err)
    assert err.count("\n") == 1
    assert len(err) <= 301
    named = {word for word in words if "." in word or word in ("c", "out")}
    assert any(name in err for name in named), err
    assert "xhat-tmp" not in err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
def test_every_operation_fails(folder, monkeypatch, capsys, name, for_ever):
    words, k = COMMANDS[name], 0
    step = 1 if name not in ("fit with checkpoint", "score a folder") else 3 - for_ever
    assert run(words) == 0
    whole, whole_finals = everything(folder), finals(folder)
    while True:
        k += step
        for path in ("c", "out"):
            shutil.rmtree(path, ignore_errors=True)
        fault = Fault(k, for_ever=for_ever)
        monkeypatch.setattr(files, "fault", fault)
        capsys.readouterr()
        code = run(words)
        if not fault.failed:
            assert code == 0
            assert finals(folder) == whole_finals
            break
        check_error(capsys, code, words)
        now = everything(folder)
        inner = [path for path in now.keys() ^ whole.keys() if path.startswith(("c/", "out/"))]
        assert now.keys() ^ whole.keys() == set(inner)
        for path in now.keys() & whole.keys():  # old or new, they are the same bytes
            if "manifest" not in path and not path.startswith("c/"):
                assert now[path] == whole[path], path
        if k % 5 == 0:  # and what was interrupted can be done again
            monkeypatch.setattr(files, "fault", files._no_fault)
            assert run(words) == 0
            assert finals(folder) == whole_finals
    assert fault.count >= 5


def test_standard_input_that_waits_on_a_full_disk(folder, monkeypatch, capsys):
    """More than a block of it is copied; the error names the folder of the copy, which is gone."""
    import io

    from xhat.data import blocks

    text = "a,b\n" + "".join(f"{i / 7},{i % 11}\n" for i in range(400))
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    (folder / "wait").mkdir()
    for k in range(1, 100):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        fault = Fault(k, for_ever=True, number=errno.ENOSPC)
        monkeypatch.setattr(
            files, "fault", lambda what, f=fault: f(what) if what == "spill" else None
        )
        code = run(["fit", "-", "-o", "o.xhat", "--epochs", "1", "--scratch", "wait", "--quiet"])
        assert not list((folder / "wait").iterdir())
        if not fault.failed:
            break
        err = capsys.readouterr().err
        assert code == 74
        assert err.startswith("wait/xhat-")
        assert "--scratch DIR" in err
        assert err.count("\n") == 1
    assert (code, k > 3) == (0, True)


def test_save_keeps_the_old_model(tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(50, 3))
    path = tmp_path / "m.xhat"
    quick = {"hidden": (), "max_iter": 1}
    Autoencoder(1, random_state=0, **quick).fit(X).save(path)
    old, other = path.read_bytes(), Autoencoder(2, random_state=1, **quick).fit(X)
    for k in range(1, 6):
        monkeypatch.setattr(files, "fault", Fault(k, for_ever=True, number=errno.ENOSPC))
        with pytest.raises(OSError, match=r"m\.xhat"):
            other.save(path)
        assert path.read_bytes() == old
        assert [p.name for p in tmp_path.iterdir()] == ["m.xhat"]


def limited(size):
    """Before the command starts: no file may grow beyond ``size`` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


DRIVER = """
import json, os, resource, signal, sys
sys.path.insert(0, {tests!r})
from test_faults import limited
from xhat.__main__ import run
words, sizes = sys.argv[2:], [int(s) for s in sys.argv[1].split(",")]
run(words)
for size in sizes:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        sys.stderr = os.fdopen(write, "w", buffering=1)
        limited(size)
        os._exit(run(words))
    os.close(write)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([code, os.fdopen(read).read()]), flush=True)
"""


@pytest.mark.parametrize("name", ["fit with checkpoint", "score to csv", "score to parquet"])
def test_disk_full_at_20_sizes(folder, name):
    words = COMMANDS[name]
    assert run(words) == 0
    target = words[words.index("-o") + 1]
    whole = (folder / target).read_bytes()
    sizes = np.unique(np.linspace(1, len(whole) - 1, 20).astype(int))
    driver = DRIVER.format(tests=str(Path(__file__).parent))
    if "c" in words:
        words = [w if w != "c" else "full" for w in words]
    done = subprocess.run(
        [sys.executable, "-c", driver, ",".join(map(str, sizes)), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) == len(sizes) >= 20
    for code, err in outcomes:
        assert code == 74, err
        assert err.count("\n") == 1
        assert "more bytes are needed" in err
        assert (folder / target).read_bytes() == whole
    assert not list(folder.rglob("*xhat-tmp"))


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, in memory; call it to change its size, in pages of 4 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)]
    done = shutil.which("mount") and subprocess.run(words, capture_output=True, check=False)
    if not done or done.returncode:
        pytest.skip("mounting a disk needs root, with the right to mount")
    yield lambda pages: subprocess.run(
        ["mount", "-o", f"remount,size={4 * pages}k", str(folder)], check=True
    )
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def pages(folder):
    """Return what the files of a folder take."""
    return sum(-(-len(data) // 4096) for data in everything(folder).values())


@pytest.mark.parametrize("name", ["model and checkpoints", "csv", "parquet", "rows on disk"])
def test_a_real_disk_full_at_20_sizes(disk, tmp_path, monkeypatch, capsys, name):
    """Nothing half-written, the old file as it was, one line that names the file; then it works."""
    monkeypatch.chdir(tmp_path)
    for pause in ("EVERY", "PATIENCE"):  # two checkpoints of either network, on any machine
        monkeypatch.setattr(checkpoint, pause, 0)
    fits.make_table(tmp_path, rows=6000)
    assert run(["fit", "rows.npy", "-o", "m.xhat", "--epochs", "1", "--quiet"]) == 0
    fit = ["fit", "rows.npy", "--epochs", "2", "--set", "hidden=(512, 32)", "--quiet", "-o"]
    words = {
        "model and checkpoints": [*fit, "disk/o.xhat", "--checkpoint", "disk/c", "--resume"],
        "csv": ["score", "m.xhat", "rows.npy", "-o", "disk/o.csv", "--quiet"],
        "parquet": ["reconstruct", "m.xhat", "rows.npy", "-o", "disk/o.parquet", "--quiet"],
        "rows on disk": [*fit, "r.xhat", "--scratch", "disk"],
    }[name]
    monkeypatch.setattr(spool, "IN_MEMORY", 2**14 if name == "rows on disk" else 2**30)
    old = (
        tmp_path / "disk/old" if name == "rows on disk" else tmp_path / words[words.index("-o") + 1]
    )
    assert run(words) == 0
    need = 6000 * 8 * 8 // 4096 if name == "rows on disk" else pages(tmp_path / "disk")
    assert need > 20
    whole = everything(tmp_path / "disk")
    for size in np.unique(np.linspace(2, need - 1, 20).astype(int)):
        for path in (tmp_path / "disk").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        old.write_bytes(b"old")
        disk(int(size))
        capsys.readouterr()
        assert run(words) == 74, size
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.startswith("disk/") or "/disk/" in err
        assert "No space left" in err
        assert ("--scratch DIR" if name == "rows on disk" else "more bytes are needed") in err
        assert old.read_bytes() == b"old"
        left = everything(tmp_path / "disk")
        assert set(left) <= {*whole, "old"} | {path for path in left if path.startswith("c/")}
        assert not list((tmp_path / "disk").rglob("*xhat-tmp"))
        assert not list((tmp_path / "disk").glob("xhat-*"))
    disk(4 * need + 10)
    assert run(words) == 0
    if name != "rows on disk":
        assert old.read_bytes() == whole[old.name]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="Linux only")
@pytest.mark.parametrize("words", [COMMANDS["score to csv"][:3], ["info", "m.xhat"]])
def test_standard_output_full(folder, words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*fits.COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 74, done.stderr
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


@pytest.mark.parametrize("words", [fits.fit_words(epochs=1), COMMANDS["score to csv"]])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: Path(path).symlink_to("/dev/full")]
)
def test_what_is_no_file_is_never_replaced(folder, capsys, words, make):
    """A rename over a device or a pipe would put a file in its place."""
    make("x.csv")
    before = Path("x.csv").stat()
    words = [*words, "-o", "x.csv"]
    assert run(words) == 74
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "x.csv" in err
    assert "not a regular file" in err
    assert os.path.samestat(before, Path("x.csv").stat())
    with pytest.raises(OSError, match="not a regular file"), files.atomic("/dev/stdout"):
        pass


def test_a_link_stays_a_link(folder):
    """The file behind a symbolic link is replaced, not the link."""
    Path("link.csv").symlink_to("new.csv")
    Path("new.csv").write_bytes(b"old")
    words = COMMANDS["score to csv"]
    assert run([*words[:3], "-o", "link.csv", "--quiet"]) == 0
    assert Path("link.csv").is_symlink()
    assert Path("new.csv").read_bytes() != b"old"


def test_two_writers_never_tear_a_file(tmp_path):
    """Two processes write different models to one path while a third loads it."""
    script = """
import sys, numpy as np
from xhat import Autoencoder
seed, path, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
X = np.random.default_rng(0).normal(size=(60, 3 + seed))
ae = Autoencoder(1, hidden=(), max_iter=1, random_state=seed).fit(X)
for _ in range(count):
    ae.save(path)
"""
    from xhat import load

    path = tmp_path / "m.xhat"
    subprocess.run([sys.executable, "-c", script, "0", str(path), "1"], check=True)
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(seed), str(path), "40"])
        for seed in (0, 2)
    ]
    seen, loads = set(), 0
    while any(writer.poll() is None for writer in writers):
        seen.add(load(path).n_features_in_)
        loads += 1
    assert seen <= {3, 5}
    assert loads > 5
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["m.xhat"]
