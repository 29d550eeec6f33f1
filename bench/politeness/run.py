#!/usr/bin/env python3
"""Politeness of the shipped service beside what people use today, on the shared testbed (spec/politeness.md 2 and 9).

    bench/politeness/run.py TESTBED BITS [--set short|bar|more|tools|all|cost] [--runs N] [--out FOLDER] [--units N] [--only TEXT]

TESTBED is the folder of the testbed (run.py, testbed.sh, relay.c, ...); it is copied and compiled. Needs root, namespaces, nginx, curl,
wget, aria2, ping, ethtool and gcc. Raw rows go to OUT/raw.jsonl, medians to OUT/README.md, and one picture to OUT/politeness.svg.
A machine that is busy with something else shows up as "load" in the rows; on a shared one give the whole tree a real-time priority
(`chrt -r 10 bench/politeness/run.py ...`), which the rows then say. `--units N` runs several links at once, each with namespaces of its
own: a link of 10 Mbit/s counts 0.5, of 50 1, of 200 3; two cores carry 5.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PHASES = {"solo": 10, "rr": 10, "bulk": 20, "rec": 7}
SHORT = {"solo": 10, "rr": 6, "bulk": 12, "rec": 6}
# What a transfer costs: it runs alone.
COST = {"solo": 30, "rr": 0, "bulk": 0, "rec": 0}
PLACE = None
UNITS = {10: 0.5, 50: 1, 200: 3}
# The bar of spec/politeness.md 9: (column, comparison, cubic and reno, bbr); at 10 Mbit/s some are looser.
BAR = [("util", ">=", 95, 95), ("qd50", "<=", 8, 8), ("qd95", "<=", 15, 15), ("kept", ">=", 96, 95), ("bgshare", "<=", 1, 2),
       ("rr50i", "<=", 30, 30), ("rr95i", "<=", 60, 60), ("yield", "<=", 0.7, 0.7), ("reclaim", "<=", 2, 3)]
LOOSER_AT_10 = {"bgshare": 2, "rr50i": 40 / 30, "rr95i": 80 / 60}
# Rows that the spec gives another bar (None: none) for some columns: cubic and reno, bbr.
OTHER_BARS = {"bits jitter": {"util": (90, 90), "qd50": None, "qd95": None, "kept": (95, 95), "rr50i": None, "rr95i": None, "reclaim": (4, 4)},
              "bits x3": {"kept": (95, 93), "bgshare": None},
              "bits LOW": {"reclaim": None}}
TITLES = {"util": "idle use %", "qd50": "queue p50 ms", "qd95": "queue p95 ms", "kept": "fg kept %", "bgshare": "bg share %",
          "rr50i": "20 kB +p50 ms", "rr95i": "20 kB +p95 ms", "yield": "yield s", "reclaim": "reclaim s"}


def prepare(testbed):
    global PLACE
    place = PLACE = pathlib.Path(tempfile.mkdtemp(prefix="openbits-politeness-"))
    shutil.copytree(testbed, place, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in place.rglob("*"):
        path.chmod(0o755)
    for source, target, more in [("relay.c", "relay", []), ("meter.c", "meter", []), ("proto/sink.c", "proto/sink", ["-pthread"])]:
        subprocess.run(["gcc", "-O2", *more, "-o", str(place / target), str(place / source)], check=True)
    spec = importlib.util.spec_from_file_location("testbed_run", place / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matrix(bits, which, runs):
    ours = f"{sys.executable} {HERE}/background.py {bits} {{w}} {{src}} {{url}}"
    rows = []

    def add(tool, rate, cc, cmd=None, phases=PHASES, **more):
        row = {"tool": tool, "rate": rate, "fgcc": cc, "bgcc": cc, "phases": phases, **more}
        if cmd:
            row["cmd"] = cmd
        rows.append(row)

    server = str(pathlib.Path(bits).with_name("bits-server"))
    if which == "short":
        add("none", 50, "cubic", phases=SHORT)
        add("bits", 50, "cubic", ours, SHORT)
    if which in ("bar", "all"):
        for rate in (200, 50, 10):
            for cc in ("cubic", "bbr", "reno"):
                add("none", rate, cc)
                add("bits", rate, cc, ours)
    if which in ("more", "all"):
        for cc in ("cubic", "bbr"):
            add("bits https (h2)", 50, cc, ours + " --tls")
            add("bits x3", 50, cc, ours + " --jobs 3")
            add("bits jitter 5 ms", 50, cc, ours, jit=5000)
        for rate, cc in ((50, "cubic"), (50, "bbr"), (10, "cubic")):
            add("none", rate, cc, dir="up")
            add("bits upload", rate, cc, f"{ours} --upload {server}", dir="up")
        add("upcurl", 50, "cubic", dir="up")
        for priority in ("LOW", "HIGH"):
            add(f"bits {priority}", 50, "cubic", f"{ours} --priority {priority}")
    if which in ("tools", "all"):
        for rate, cc in ((200, "cubic"), (50, "cubic"), (50, "bbr"), (10, "cubic")):
            for tool in ("curl", "curl90", "wget", "aria8"):
                add(tool, rate, cc)
    if which == "cost":
        for name, priority in (("bits", "NORMAL"), ("bits FOREGROUND", "FOREGROUND")):
            add(name, 200, "cubic", f"{ours} --priority {priority}", COST)
    return [dict(row, rep=rep) for rep in range(runs) for row in rows]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def is_void(row):
    """A run that says nothing of politeness: it failed, or its transfer did (the disk was full), or did not run."""
    if "error" in row or row["tool"] == "none":
        return "error" in row
    modes = row.get("modes", {})
    return row["util_all"] < 1 or "ERROR" in modes or modes.get("QUEUED", 0) > 5 or not row["alive"]


def summarize(rows):
    solo = {}
    for row in rows:
        if row["tool"] == "none" and not is_void(row):
            solo.setdefault((row["rate"], row["fgcc"], row.get("dir")), []).append(row)
    groups = {}
    for row in rows:
        if row["tool"] == "none" or is_void(row):
            continue
        alone = solo.get((row["rate"], row["fgcc"], row.get("dir")))
        if alone and row.get("fg"):
            row["kept"] = 100 * row["fg"] / median([r["fg"] for r in alone])
            row["rr50i"] = row["rr50"] - median([r["rr50"] for r in alone])
            row["rr95i"] = row["rr95"] - median([r["rr95"] for r in alone])
        groups.setdefault((row["rate"], row["fgcc"], row["tool"]), []).append(row)
    return groups


def bar_of(tool, column, others, bbr, cc):
    """The bar of a cell; None if there is none."""
    for name, bars in OTHER_BARS.items():
        if tool.startswith(name) and column in bars:
            if bars[column] is None:
                return None
            others, bbr = bars[column]
    return bbr if cc == "bbr" else others


def holds(column, comparison, bar, value, rate):
    if value is None:
        return False
    if rate == 10 and column in LOOSER_AT_10:
        bar *= LOOSER_AT_10[column]
    return value >= bar if comparison == ">=" else value <= bar


def table(groups):
    lines = ["| rate | sender | background | n | " + " | ".join(TITLES.values()) + " | CPU % of a core |",
             "|---" * (len(TITLES) + 5) + "|"]
    missed = []
    for (rate, cc, tool), rows in sorted(groups.items(), key=lambda item: (item[0][2][:4] != "bits", item[0])):
        cells = []
        for column, comparison, others, bbr in BAR:
            values = [row.get(column) for row in rows]
            if column in ("yield", "reclaim") and rows[0].get("fg"):
                # What did not happen in the time that was looked at counts as never.
                values = [float("inf") if value is None else value for value in values]
            value = median(values)
            worst = (min if comparison == ">=" else max)([v for v in values if v is not None], default=None)
            bar = bar_of(tool, column, others, bbr, cc)
            # A row without a foreground has no bar; one that has not reclaimed has missed it.
            good = bar is None or rows[0].get("fg") is None or values[0] is None or holds(column, comparison, bar, value, rate)
            digits = 2 if column in ("yield", "reclaim") else 1
            shown = ["never" if v == float("inf") else f"{v:.{digits}f}" for v in (value, worst) if v is not None]
            cells.append(f"{shown[0]} ({shown[1]})" if shown else "-")
            if tool.startswith("bits") and not good:
                missed.append(f"{tool}, {rate} Mbit/s {cc}: {TITLES[column]} {cells[-1]}")
                cells[-1] += " **missed**"
        cpu = median([row.get("cpu") for row in rows])
        cells.append("-" if cpu is None else f"{cpu:.1f}")
        lines.append(f"| {rate} | {cc} | {tool} | {len(rows)} | " + " | ".join(cells) + " |")
    return lines, missed


def picture(groups, path, rate=50, cc="cubic"):
    """What a foreground download keeps, and what a click waits longer, for each tool: one look is enough."""
    names = [("bits", "openbits"), ("curl", "curl"), ("curl90", "curl --limit-rate 90 %"), ("wget", "wget"), ("aria8", "aria2c -x8")]
    found = [(label, groups[(rate, cc, tool)]) for tool, label in names if (rate, cc, tool) in groups]
    if len(found) < 2:
        return
    height = 70 + 34 * len(found)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" font-family="sans-serif" font-size="14">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="10" y="24" font-size="16">One background download on a {rate} Mbit/s link: what is left for you</text>',
             '<text x="190" y="50" fill="#555">your own download keeps</text><text x="540" y="50" fill="#555">a small page takes longer by</text>']
    worst = max((median([row.get("rr50i") for row in rows]) or 0) for _, rows in found)
    for at, (label, rows) in enumerate(found):
        y = 62 + 34 * at
        kept = median([row.get("kept") for row in rows]) or 0
        late = max(median([row.get("rr50i") for row in rows]) or 0, 0)
        color = "#2a8f5b" if label == "openbits" else "#b5651d"
        parts.append(f'<text x="180" y="{y + 17}" text-anchor="end">{label}</text>')
        parts.append(f'<rect x="190" y="{y}" width="{min(kept, 105) * 2.6:.0f}" height="24" fill="{color}"/>')
        parts.append(f'<text x="{196 + min(kept, 105) * 2.6:.0f}" y="{y + 17}">{kept:.0f} %</text>')
        parts.append(f'<rect x="540" y="{y}" width="{late / max(worst, 1) * 220:.0f}" height="24" fill="{color}"/>')
        parts.append(f'<text x="{546 + late / max(worst, 1) * 220:.0f}" y="{y + 17}">{late:.0f} ms</text>')
    path.write_text("\n".join(parts + ["</svg>\n"]))


def measure(testbed, job, number):
    """One run: its row, also when it fails."""
    keep = tempfile.mkdtemp(prefix="openbits-kept-")
    try:
        row = testbed.job(dict(job, keep=keep), number)
        said = pathlib.Path(keep, "bg.err").read_text().strip().splitlines() if pathlib.Path(keep, "bg.err").exists() else []
        if said and said[-1].startswith("{"):
            extra = json.loads(said[-1])
            row["cpu"] = 100 * (extra["user_s"] + extra["system_s"]) / (sum(job["phases"].values()) + 1)
            row["modes"], row["peak_kib"] = extra["modes"], extra["peak_kib"]
        elif said:
            row["said"] = said[-1][:200]
    except Exception as error:  # one run that fails is a row like others
        row = dict(job, error=repr(error))
    for key in ("cmd", "keep", "phases"):
        row.pop(key, None)
    row = {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}
    row["at"], row["realtime"] = int(time.time()), os.sched_getscheduler(0) == os.SCHED_RR
    shutil.rmtree(keep, ignore_errors=True)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("testbed")
    parser.add_argument("bits")
    parser.add_argument("--set", default="short", choices=("short", "bar", "more", "tools", "all", "cost"))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--units", type=float, default=1)
    parser.add_argument("--only", default="", help="rows whose tool, rate and sender contain one of these texts, with commas between them")
    parser.add_argument("--id", type=int, default=7, help="number of the first namespace, at most 140")
    parser.add_argument("--out", default=str(HERE.parent / "results" / "politeness"))
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("SKIPPED: the testbed needs root and network namespaces", file=sys.stderr)
        return 0
    out = pathlib.Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    testbed = prepare(given.testbed)
    bits = str(pathlib.Path(given.bits).resolve())
    rows = []
    raw = out / "raw.jsonl"
    if raw.exists():
        rows = [json.loads(line) for line in raw.read_text().splitlines()]
    jobs = [job for job in matrix(bits, given.set, given.runs) 
            if any(part in f"{job['tool']} {job['rate']} {job['fgcc']}" for part in given.only.split(","))]
    lock, free = threading.Condition(), [given.units]

    def work(number):
        while True:
            with lock:
                while True:
                    if not jobs:
                        return
                    at = next((at for at, job in enumerate(jobs[:12]) if cost(job) <= free[0]), None)
                    if at is not None:
                        break
                    lock.wait()
                job = jobs.pop(at)
                free[0] -= cost(job)
            row = measure(testbed, job, number)
            with lock:
                free[0] += cost(job)
                lock.notify_all()
                rows.append(row)
                with raw.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)

    def cost(job):
        return min(UNITS[job["rate"]], given.units)

    workers = [threading.Thread(target=work, args=(given.id + at,)) for at in range(max(1, int(2 * given.units)) if given.units > 1 else 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    groups = summarize(rows)
    lines, missed = table(groups)
    head = [f"# Politeness on the shared testbed\n\nMachine: {os.cpu_count()} cores, {platform.release()}. Medians, the worst run in brackets; raw rows in raw.jsonl. "
            "Columns and bar: spec/politeness.md 2 and 9.\n"]
    void = sum(map(is_void, rows))
    tail = ["", f"{len(rows)} runs, of which {void} are set aside (`is_void` in bench/politeness/run.py).", "", "Missed: " + ("; ".join(missed) if missed else "nothing") + ".", ""]
    (out / "README.md").write_text("\n".join(head + lines + tail))
    picture(groups, out / "politeness.svg")
    print("\n".join(lines + tail))
    return 0


if __name__ == "__main__":
    sys.exit(main())
