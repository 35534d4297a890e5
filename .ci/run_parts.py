"""Parts of a long measurement: each within a limit of its own, each result written at once."""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Callable


class Unavailable(Exception):
    """Why a part, or the rest of it, could not run."""


@dataclasses.dataclass
class Part:
    """What can be asked for: at most `limit` seconds of `work`; a timing runs `alone`."""

    name: str
    does: str
    limit: int
    work: Callable
    alone: bool = False


@dataclasses.dataclass
class Result:
    """What a part came to; `ends` is when its limit is reached."""

    part: str
    ends: float = 0.0
    state: str = "running"
    reason: str = ""
    seconds: float = 0.0
    commands: list = dataclasses.field(default_factory=list)
    rows: list = dataclasses.field(default_factory=list)

    def close(self, error, seconds):
        failed = any(row["verdict"] == "failed" for row in self.rows)
        self.state = "failed" if failed else "unavailable" if error else "done"
        self.reason, self.seconds = str(error or ""), round(seconds, 1)
        print(f"== {self.part}: {self.state} after {self.seconds} s. {self.reason}", flush=True)


class Run:
    """Parts that leave their results in one folder; `head` says what they hold for."""

    def __init__(self, out, head, minutes, environment):
        self.out, self.head, self.environment = out.resolve(), head, {**os.environ, **environment}
        self.deadline = time.monotonic() + 60 * minutes
        self.lock, self.running, self.stopped, self.results = threading.Lock(), set(), False, {}
        self.work = self.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)

    def go_on(self, keys):
        """Takes over what an earlier call found, if it was the same in `keys`."""
        stored = self.out / "results.json"
        before = json.loads(stored.read_text()) if stored.exists() else {**self.head, "parts": []}
        for key in keys:
            if self.head[key] == "unknown":  # a copy without its history
                self.head[key] = before[key]
            if before[key] != self.head[key]:
                sys.exit(f"{stored} is of {key} {before[key]}, not {self.head[key]}: give another --out")
        self.results = {part["part"]: Result(**part) for part in before["parts"]}

    def has(self, part):
        return part.name in self.results and self.results[part.name].state in ("done", "failed")

    def do_all(self, parts, jobs):
        """Those that time nothing first, side by side."""
        timings = [part for part in parts if part.alone]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                list(pool.map(self.do, [part for part in parts if not part.alone]))
            except KeyboardInterrupt:
                self.stop()
        list(map(self.do, timings))

    def do(self, part):
        if self.stopped or (time.monotonic() > self.deadline and part.name in self.results):
            return
        started, error = time.monotonic(), None
        result = self.results[part.name] = Result(part.name, started + part.limit)
        print(f"== {part.name}: at most {part.limit} s", flush=True)
        try:
            part.work(self, result)
        except KeyboardInterrupt:
            self.stop()
            error = "interrupted"
        except Exception as caught:  # whatever stops one part, the others run
            error = caught if isinstance(caught, Unavailable) else f"{type(caught).__name__}: {caught}"
        result.close(error, time.monotonic() - started)
        self.write()

    def row(self, result, figure, value, unit="", limit="", good=None):
        verdict = {None: "", True: "ok", False: "failed"}[good]
        result.rows.append(dict(figure=figure, value=value, unit=unit, limit=limit, verdict=verdict))
        print(f"   {result.part}: {figure}: {value} {unit} {verdict}", flush=True)
        self.write()

    def command(self, result, words, folder=None):
        """The output of a command, and what was wrong with it: an exit code, or the limit."""
        left = min(result.ends, self.deadline) - time.monotonic()
        if self.stopped or left < 1:
            return "", "interrupted" if self.stopped else "no time left"
        words = [str(word) for word in words]
        result.commands.append(" ".join(words))
        log = self.out / f"{result.part}.log"
        with log.open("ab") as file:
            file.write(f"$ {result.commands[-1]}\n".encode())
            file.flush()
            start = file.tell()
            problem = self.wait(words, file, folder or self.work, left)
        return log.read_bytes()[start:].decode(errors="replace"), problem

    def wait(self, words, file, folder, seconds):
        child = subprocess.Popen(words, cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=file,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        self.running.add(child)
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            end(child)
            return f"not through in {seconds:.0f} s"
        except KeyboardInterrupt:
            end(child)
            raise
        finally:
            self.running.discard(child)
        return "interrupted" if self.stopped else f"exit code {code}" if code else None

    def must(self, result, words, folder=None):
        """The output of a command without which the part cannot go on."""
        text, problem = self.command(result, words, folder)
        if problem:
            raise Unavailable(reason(problem, text))
        return text

    def stop(self):
        self.stopped = True
        for child in list(self.running):
            end(child)

    def found(self):
        return [dataclasses.asdict(result) | {"ends": 0} for result in list(self.results.values())]

    def write(self):
        with self.lock:
            parts = self.found()
            replace(self.out / "results.json", json.dumps({**self.head, "parts": parts}, indent=1) + "\n")
            replace(self.out / "results.md", markdown(self.head, parts))


def end(child):
    """A program and all that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
            child.wait(3)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def markdown(head, parts):
    lines = [f"* {key}: {value}" for key, value in head.items()]
    lines += ["", "| part | figure | value | unit | limit | verdict |", "|---|---|---|---|---|---|"]
    for part in parts:
        cells = [[part["part"], *row.values()] for row in part["rows"]]
        cells += [[part["part"], "all of it", part["seconds"], "s", "", f"{part['state']} {part['reason']}"]]
        lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in cells]
    commands = [f"    {part['part']}: {command}" for part in parts for command in part["commands"]]
    return "\n".join([*lines, "", "Commands:", "", *commands]) + "\n"


def reason(problem, text):
    """What was wrong with a command, and the last that it said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{problem}: {lines[-1][:200]}" if lines else problem


def answer(words, folder=pathlib.Path.cwd()):
    """What a command says, or nothing where it is not there or fails."""
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
        return "" if done.returncode else done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
