"""Kill commands at random moments and run them again: ``python killer.py WHAT FOLDER COUNT SEED``.

Every command runs in a fork of this process, which has imported all it needs: a kill costs the time
of a small fit, not that of starting Python. Prints {"killed": n, "same": n} for the caller.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import fits
import numpy as np

from xhat.__main__ import run
from xhat.train import checkpoint


def fork(words):
    """Start a command in a child."""
    pid = os.fork()
    if pid:
        return pid
    os._exit(run(words))


def call(words):
    code = os.waitstatus_to_exitcode(os.waitpid(fork(words), 0)[1])
    assert code == 0, (code, words)


def killed_at(words, seconds):
    """Run a command and kill it after some seconds; say whether it was still running."""
    pid = fork(words)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def kill_fits(count, rng):
    fits.make_table(Path())
    checkpoint.EVERY = 0.01
    run(fits.fit_words())  # here, so that the children need not import
    began = time.monotonic()
    call(fits.fit_words())
    seconds = time.monotonic() - began
    whole = Path("m.xhat").read_bytes()
    killed = same = number = 0
    while killed < count:
        number += 1
        Path("m.xhat").unlink()
        words = fits.fit_words("--checkpoint", f"c{number}", "--resume")
        hit = killed_at(words, rng.uniform(0, seconds))
        killed += hit
        if rng.random() < 0.3:  # again, while it resumes
            killed_at(words, rng.uniform(0, seconds))
        call(words)
        same += hit and Path("m.xhat").read_bytes() == whole
        shutil.rmtree(f"c{number}")
    return {"killed": killed, "same": same}


def kill_scoring(count, rng):
    fits.make_table(Path())
    run(fits.fit_words(epochs=2))
    fits.make_inputs(Path("in"))
    run(["score", "m.xhat", "in", "-o", "first", "--quiet"])
    words = ["score", "m.xhat", "in", "-o", "whole", "--quiet"]
    began = time.monotonic()
    call(words)
    seconds = time.monotonic() - began
    whole = fits.contents(Path("whole"))
    killed = same = number = redone = 0
    while killed < count:
        number += 1
        words[4] = f"out{number}"
        hit = killed_at(words, rng.uniform(0, seconds))
        killed += hit
        out = Path(f"out{number}")
        finished = (
            {p.name: p.stat().st_mtime_ns for p in out.glob("[!.]*.csv")} if out.exists() else {}
        )
        listed = fits.listed(out)
        call(words)
        same += hit and fits.contents(out) == whole
        redone += sum((out / name).stat().st_mtime_ns != finished[name] for name in listed)
        shutil.rmtree(out)
    return {"killed": killed, "same": same, "finished parts redone": redone}


if __name__ == "__main__":
    what, folder, count, seed = sys.argv[1:]
    os.chdir(folder)
    attack = {"fit": kill_fits, "score": kill_scoring}[what]
    sys.stdout.write(json.dumps(attack(int(count), np.random.default_rng(int(seed)))))
