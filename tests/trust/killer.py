"""Stop commands at random moments and run them again: ``python killer.py WHAT FOLDER COUNT SEED``.

Every command runs in a fork of this process, which has imported all it needs: a kill costs the time
of a small fit, not that of starting Python. Prints {"killed": n, "same": n} for the caller, of
signals {"stopped": n, "problems": [...], ...}.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import fits
import numpy as np

from xhat import __main__ as command
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


class Told:
    """A command in a fork, told by a signal to stop as soon as it watches for signals or later."""

    def __init__(self, words):
        ready, told = os.pipe()
        self.err, err = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            watched = command.watched

            @contextlib.contextmanager
            def watched_and_said():
                with watched():
                    os.write(told, b"!")
                    yield
                os.write(told, b".")

            command.watched = watched_and_said
            sys.argv, sys.stderr = ["xhat", *words], os.fdopen(err, "w", buffering=1)
            os.dup2(sys.stderr.fileno(), 2)
            os._exit(run(words))
        os.close(told)
        os.close(err)
        assert os.read(ready, 1) == b"!"
        self.ready, self.over = ready, False
        self.began = time.monotonic()

    def end(self):
        """Wait for the end; return exit code, standard error and how long it took from here."""
        began = time.monotonic()
        with os.fdopen(self.err) as file:
            text = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        took = time.monotonic() - began
        self.over = os.read(self.ready, 1) == b"."  # its work was done, and it watched no more
        os.close(self.ready)
        return code, text, took


def stop(words, rng, seconds, *, twice):
    """Tell a command to stop at a random moment; return (stopped, how long it took, problem)."""
    number = signal.SIGINT if twice or rng.random() < 0.5 else signal.SIGTERM
    told = Told(words)
    time.sleep(rng.uniform(0, seconds))
    os.kill(told.pid, number)
    if twice:
        time.sleep(0.01)
        os.kill(told.pid, number)
    code, text, took = told.end()
    stopped, limit = code == 128 + number, 0.5 if twice else 2
    good = (code in (0, -number) and told.over) or (
        stopped
        and took < limit
        and (text == "" if twice and not text else text.startswith("interrupted"))
        and text.count("\n") == (1 if text else 0)
        and len(text) <= 301
    )
    return stopped, took, "" if good else f"{words[0]}: {code} after {took:.2f} s: {text[:400]}"


def signals(count, rng):
    """Half of the signals reach a fit, half the scoring of a folder; each is run to its end."""
    fits.make_table(Path())
    checkpoint.EVERY = 0.01
    run(fits.fit_words())
    fits.make_inputs(Path("in"))
    run(["score", "m.xhat", "in", "-o", "first", "--quiet"])
    shutil.copy("m.xhat", "model.xhat")
    commands = {
        "fit": [*fits.fit_words(), "--checkpoint", "c", "--resume"],
        "score": ["score", "model.xhat", "in", "-o", "out", "--quiet"],
    }
    seconds, whole = {}, {}
    for name, words in commands.items():
        told = Told(words)
        assert told.end()[0] == 0
        seconds[name] = time.monotonic() - told.began
        whole[name] = Path("m.xhat").read_bytes() if name == "fit" else fits.contents(Path("out"))
    took, problems, same, stopped, twice = [], [], 0, 0, 0
    while stopped < count:
        name = ("fit", "score")[stopped % 2]
        for folder in ("c", "out"):
            shutil.rmtree(folder, ignore_errors=True)
        second = stopped % 10 >= 8
        hit, time_taken, problem = stop(commands[name], rng, seconds[name], twice=second)
        problems += [problem] if problem else []
        if not hit:
            assert len(problems) < 20, problems
            continue
        stopped, twice = stopped + 1, twice + second
        took.append(time_taken)
        call(commands[name])
        now = Path("m.xhat").read_bytes() if name == "fit" else fits.contents(Path("out"))
        same += now == whole[name]
    return {"stopped": stopped, "of these by a second signal": twice, "same afterwards": same,
            "slowest in s": round(max(took), 2), "problems": problems}  # fmt: skip


if __name__ == "__main__":
    what, folder, count, seed = sys.argv[1:]
    os.chdir(folder)
    attack = {"fit": kill_fits, "score": kill_scoring, "signals": signals}[what]
    sys.stdout.write(json.dumps(attack(int(count), np.random.default_rng(int(seed)))))
