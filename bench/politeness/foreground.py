#!/usr/bin/env python3
"""The same file in the foreground and in the background (spec/delivery-optimization-com.md 12, row 8), over the testbed's link.

    bench/politeness/foreground.py TESTBED BITS OUT.jsonl [--rounds N] [--bytes N] [--rate MBIT] [--cc NAME] [--id N] [--note TEXT]

Each round has three cases: the file in the foreground alone, in the background alone, and both side by side, of which the one in the
background is started first. One service for all of them, in the testbed's client namespace; downloads are made, started and ended through
its door, `/v1/downloads`, with `foreground_priority`. Times are from Start to TRANSFERRED, looked at every 20 ms. A row for each case:
seconds, and for both the bytes that the background had when the foreground was there. Needs what run.py needs.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import run
from background import ask

CASES = {"foreground": [True], "background": [False], "both": [False, True]}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Service:
    """The service under test, with its state and its files in memory."""

    def __init__(self, bits, number):
        self.home = pathlib.Path("/dev/shm") / f"openbits-foreground-{os.getpid()}"
        (self.home / "run").mkdir(parents=True, mode=0o700)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run"),
               "RUNTIME_DIRECTORY": str(self.home / "run"), "STATE_DIRECTORY": str(self.home / "state")}
        self.door = str(self.home / "run" / "bits.sock")
        inside = ["nice", "-n", "-10", "ip", "netns", "exec", f"bp{number}c"]
        self.log = open(self.home / "log", "w")
        self.process = subprocess.Popen(inside + [bits, "service", "--system", "--socket", self.door, "--database", str(self.home / "queue.db")],
                                        env=env, stdout=self.log, stderr=self.log, cwd=self.home)
        for _ in range(500):
            try:
                if ask(self.door, "GET", "/v1/service")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise SystemExit("the service does not answer: " + (self.home / "log").read_text())

    def call(self, method, target, body=None):
        status, answer = ask(self.door, method, target, body)
        if status >= 300:
            raise SystemExit(f"{method} {target}: {status} {answer}")
        return answer

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)


def case(service, url, size, levels):
    """Seconds of each download, in the order of `levels`, and what the others had when the first one was there."""
    ids = []
    for number, foreground in enumerate(levels):
        place = service.home / f"file{number}"
        properties = {"uri": url, "local_path": str(place), "foreground_priority": foreground}
        ids.append(service.call("POST", "/v1/downloads", {"properties": properties})["id"])
    begin, seconds, then = [], [None] * len(ids), None
    for id in ids:
        begin.append(time.monotonic())
        service.call("POST", f"/v1/downloads/{id}/start", {})
    while None in seconds:
        for number, id in enumerate(ids):
            if seconds[number] is not None:
                continue
            view = service.call("GET", f"/v1/downloads/{id}")
            if view["state"] == "PAUSED":
                raise SystemExit(f"a download failed: {view}")
            if view["state"] != "TRANSFERRED":
                continue
            seconds[number] = time.monotonic() - begin[number]
            if view["bytes_transferred"] != size:
                raise SystemExit(f"{view['bytes_transferred']} bytes instead of {size}")
            if then is None:
                then = [service.call("GET", f"/v1/downloads/{other}")["bytes_transferred"] for other in ids]
        time.sleep(0.02)
    for id in ids:
        service.call("POST", f"/v1/downloads/{id}/abort")
    return seconds, then


def main():
    parser = argparse.ArgumentParser()
    for name in ("testbed", "bits", "out"):
        parser.add_argument(name)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=125_000_000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--cc", default="cubic")
    parser.add_argument("--id", type=int, default=40)
    parser.add_argument("--note", default="", help="goes into each row: the build, the commit")
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("SKIPPED: the testbed needs root and network namespaces", file=sys.stderr)
        return 0
    run.prepare(given.testbed)
    bed, number = str(run.PLACE / "testbed.sh"), str(given.id)
    subprocess.run([bed, "down", number], **QUIET)
    subprocess.run([bed, "up", number, str(given.rate), "200", "30"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([bed, "cc", number, given.cc, given.cc], check=True)
    file = pathlib.Path("/dev/shm/bp") / f"race{number}.bin"
    os.truncate(os.open(file, os.O_CREAT | os.O_WRONLY), given.bytes)
    service, rows = None, []
    try:
        service = Service(str(pathlib.Path(given.bits).resolve()), number)
        for turn in range(given.rounds):
            # Each case is first, second and last once in three rounds.
            names = list(CASES)
            for name in names[turn % 3:] + names[:turn % 3]:
                seconds, then = case(service, f"http://10.{100 + given.id}.0.1/{file.name}", given.bytes, CASES[name])
                row = {"case": name, "round": turn, "rate": given.rate, "cc": given.cc, "bytes": given.bytes}
                for level, took in zip(CASES[name], seconds):
                    row["foreground_s" if level else "background_s"] = round(took, 2)
                if name == "both":
                    row["background_then"] = then[0]
                row.update(load=round(os.getloadavg()[0], 2), realtime=os.sched_getscheduler(0) == os.SCHED_RR, at=int(time.time()), note=given.note)
                rows.append(row)
                with open(given.out, "a") as out:
                    out.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    finally:
        if service:
            service.stop()
        file.unlink()
        subprocess.run([bed, "down", number], **QUIET)
        shutil.rmtree(run.PLACE, ignore_errors=True)
    for name in CASES:
        for key in ("foreground_s", "background_s", "background_then"):
            values = [row[key] for row in rows if row["case"] == name and key in row]
            if values:
                print(f"{name:10} {key:15} median {statistics.median(values)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
