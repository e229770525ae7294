"""Offer every payload under every extension to every reader, under an audit hook.

Prints one JSON line: how many were tried and what went wrong. Runs in a process of its own, because
an audit hook cannot be taken off again.
"""

import contextlib
import io
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import payloads
import scipy.sparse

from xhat import Autoencoder, ModelFileError, load
from xhat.__main__ import run

FORBIDDEN = {"pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn",
             "subprocess.Popen", "socket.connect", "webbrowser.open"}  # fmt: skip
EXTENSIONS = (".xhat", ".csv", ".tsv", ".txt", ".parquet", ".pq", ".arrow", ".feather", ".ipc",
              ".npy", ".npz")  # fmt: skip
armed = {"on": False, "seen": []}


def hook(event, arguments):
    if not armed["on"]:
        return
    bad = event in FORBIDDEN
    bad |= event == "open" and "canary" in str(arguments[0])
    bad |= event == "import" and arguments[0] in ("antigravity", "pickle", "runpy")
    if event in ("exec", "compile"):
        source = str(arguments[0])
        bad |= "canary" in source or "import" in source
    if bad:
        armed["seen"].append(f"{event} {arguments!r:.80}")


def prepare():
    folder = Path(sys.argv[1])
    os.chdir(folder)
    X = np.random.default_rng(0).normal(size=(30, 3))
    Autoencoder(1, hidden=(), max_iter=1, random_state=0).fit(X).save("good.xhat")
    np.save("good.npy", X)
    scipy.sparse.save_npz("good.npz", scipy.sparse.csr_array(X))
    Path("good.csv").write_text("a,b\n1,2\n3,5\n4,4\n")
    for name in ("good.npy", "good.npz", "good.csv"):  # import all that a reader imports
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run(["score", "good.xhat", name])
            run(["info", "good.xhat"])


def main():  # noqa: C901
    prepare()
    sys.addaudithook(hook)
    problems, tried = [], 0
    some = sys.argv[2] == "some"
    for number, (name, data) in enumerate(payloads.payloads().items()):
        for place, extension in enumerate(EXTENSIONS):
            if some and place and (place + number) % 5:  # .xhat and every fifth other one
                continue
            path = Path(f"payload{extension}")
            path.write_bytes(data)
            commands = [["info", str(path)], ["score", str(path), "good.npy"]]
            if extension != ".xhat":
                commands = [["fit", str(path), "-o", "out.xhat"], ["score", "good.xhat", str(path)]]
            if extension in (".npy", ".csv"):
                commands.append(["info", str(path)])
            armed["on"] = True
            for words in commands:
                tried += 1
                began = time.process_time()
                out, err = io.StringIO(), io.StringIO()
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = run(words)
                text = err.getvalue()
                # A text file may hold any text: yaml in a CSV is a table of one column.
                if (
                    code not in (65, 74)
                    or text.count("\n") != 1
                    or "bug:" in text
                    or len(text) > 301
                ):
                    problems.append([name, words, code, text[:300]])
                if time.process_time() - began > 2:
                    problems.append([name, words, "slow"])
            if extension == ".xhat":
                try:
                    load(path)
                    problems.append([name, "loaded"])
                except ModelFileError:
                    pass
            armed["on"] = False
            path.unlink()
            if Path("canary").exists() or armed["seen"]:
                problems.append([name, extension, "code ran", armed["seen"][:2]])
                armed["seen"].clear()
                Path("canary").unlink(missing_ok=True)
    peak = _peak_mb()
    count = len(payloads.payloads())
    figures = {"payloads": count, "tried": tried, "problems": problems, "peak MB": peak}
    sys.stdout.write(json.dumps(figures))


def _peak_mb():
    """Return the peak memory of this program; ru_maxrss counts what called it, before exec, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) // 1024


if __name__ == "__main__":
    main()
