"""Small fits on the command line, in processes of their own: to be killed, stopped and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

COMMAND = [sys.executable, "-m", "xhat"]


def make_table(folder, rows=1200, seed=0):
    """Write a table that takes about a second of training."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, 3))
    X = np.tanh(codes @ rng.normal(size=(3, 8))) + 0.1 * rng.normal(size=(rows, 8))
    np.save(folder / "rows.npy", X.astype(np.float32))


def fit_words(*more, epochs=80):
    return ["fit", "rows.npy", "-o", "m.xhat", "--components", "3", "--set", "hidden=(16,)",
            "--set", "stopping=None", "--epochs", str(epochs), "--quiet", *more]  # fmt: skip


def start(folder, words, **options):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=env, **options,
    )  # fmt: skip


def call(folder, words, **options):
    """Run a command to its end; return (code, standard error)."""
    process = start(folder, words, **options)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def kill_after(process, seconds, number=signal.SIGKILL):
    """Send a signal after some seconds; return exit code, error lines and the time it took."""
    time.sleep(seconds)
    process.send_signal(number)
    sent = time.monotonic()
    _, err = process.communicate(timeout=60)
    return process.returncode, err, time.monotonic() - sent


def killer(what, folder, count, seed):
    """Run killer.py in a process of its own and return its figures."""
    script = Path(__file__).with_name("killer.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), what, str(folder), str(count), str(seed)],
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def make_inputs(folder):
    """Write a folder of inputs of several formats, of several parts each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(2):
        X = rng.normal(size=(2000, 8))
        table = pa.table({f"x{j}": X[:, j] for j in range(8)})
        pq.write_table(table, folder / f"p{number}.parquet", row_group_size=500)
        np.savetxt(folder / f"c{number}.csv", X[:300], delimiter=",", comments="",
                   header=",".join(table.column_names))  # fmt: skip
    np.save(folder / "n.npy", X)


def contents(folder):
    """Return the files of a folder by name."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def listed(folder):
    """Return the names of the parts that the manifests list on whole lines."""
    texts = [path.read_text() for path in folder.glob("manifest*.jsonl")]
    return [json.loads(line)["part"] for text in texts for line in text.split("\n")[:-1]]
