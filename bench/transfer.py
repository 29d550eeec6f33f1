#!/usr/bin/env python3
"""Measures `bits get` beside curl and aria2c: one 2 GiB file, and 2,000 files of 20 KiB, from nginx on loopback.

Rounds are interleaved (A B C A B C), so that a slow minute of the machine meets every tool. CPU seconds of bits are those of the
command plus those of its service. `+sync` means: the tool, and then fsync of every file it wrote and of the folder; bits does
that by itself before it says that a file is in place.

    bench/transfer.py --bits target/release/bits --rounds 5 --out bench/results/transfer.json
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import common
from common import cpu_of

SMALL_COUNT, SMALL_SIZE = 2000, 20 << 10

NGINX = """
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 60; keepalive_requests 100000;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
  scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}/www; }}
}}
"""


def peak_of(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def busy():
    """CPU seconds that the whole machine has worked."""
    fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / common.TICK


class Peak(threading.Thread):
    """Looks at the peak memory of a process until it ends: the kernel's own number at the end includes the parent's."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kib = pid, 0
        self.start()

    def run(self):
        try:
            while True:
                self.kib = max(self.kib, peak_of(self.pid))
                time.sleep(0.02)
        except (OSError, StopIteration):
            pass

    def end(self):
        self.join()
        return self.kib


class Bench:
    def __init__(self, args, root, target):
        self.args, self.root, self.target = args, root, target
        self.state = target / "state"
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.env |= {
            "HOME": str(self.state),
            "XDG_STATE_HOME": str(self.state),
            "XDG_RUNTIME_DIR": str(self.state),
            "XDG_CONFIG_HOME": str(self.state),
        }
        self.state.mkdir(mode=0o700)

    def url(self, name):
        return f"http://127.0.0.1:{self.args.port}/{name}"

    def service_pid(self):
        out = subprocess.run([self.args.bits, "--user", "service-info", "--json"], env=self.env, capture_output=True, text=True)
        return json.loads(out.stdout)["pid"]

    def service_stop(self):
        try:
            pid = self.service_pid()
        except (ValueError, KeyError):
            return
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

    def run(self, case):
        """One run; its numbers."""
        out = self.target / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        words, service, sync = case["words"](out), case.get("service"), case.get("sync")
        if service == "cold":
            self.service_stop()
        pid = self.service_pid() if service == "warm" else None
        os.sync()
        time.sleep(0.5)
        if pid:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak
        before, machine, begin = (cpu_of(pid) if pid else 0), busy(), time.monotonic()
        child = subprocess.Popen(words, env=self.env, cwd=out, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        watch = Peak(child.pid)
        errors = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        own = time.process_time()
        if sync:
            for path in [*out.iterdir(), out]:
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)
        own = time.process_time() - own
        wall, machine = time.monotonic() - begin, busy() - machine
        if status != 0:
            sys.exit(f"{words} ended with {status}: {errors.decode()[-2000:]}")
        cpu, peak = used.ru_utime + used.ru_stime + (own if sync else 0), watch.end()
        if service:
            pid = pid or self.service_pid()
            cpu += cpu_of(pid) - before
            peak += peak_of(pid)
        return {"wall_s": wall, "cpu_s": cpu, "machine_cpu_s": machine, "peak_kib": peak}

    def verify(self, names):
        for name in names:
            here, there = self.target / "out" / name, self.root / "www" / name
            if digest(here) != digest(there):
                sys.exit(f"{here} is wrong")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def large_cases(bench):
    url, bits = bench.url("large"), bench.args.bits

    def curl(out):
        return ["curl", "-s", "-o", f"{out}/large", url]

    def aria(out):
        return ["aria2c", "-q", "-x1", "-d", str(out), url]

    def get(out):
        return [bits, "--user", "-q", "get", url, f"{out}/large"]

    return [
        {"name": "bits get", "words": get, "service": "warm"},
        {"name": "curl -o", "words": curl},
        {"name": "curl -o +sync", "words": curl, "sync": True},
        {"name": "aria2c -x1", "words": aria},
        {"name": "aria2c -x1 --file-allocation=none", "words": lambda out: [*aria(out), "--file-allocation=none"]},
        {"name": "aria2c -x1 +sync", "words": aria, "sync": True},
        {"name": "bits get, service started by it", "words": get, "service": "cold"},
    ]


def small_cases(bench):
    bits, lists = bench.args.bits, bench.root
    names = small_names()
    (lists / "urls").write_text("".join(bench.url(n) + "\n" for n in names))
    (lists / "curl").write_text("".join(f'url = "{bench.url(n)}"\noutput = "{n}"\n' for n in names))

    def get(out):
        return [bits, "--user", "-q", "get", "-i", f"{lists}/urls", "-d", str(out)]

    def curl(_):
        return ["curl", "-s", "--parallel", "--parallel-max", "16", "-K", f"{lists}/curl"]

    def aria(out):
        return ["aria2c", "-q", "-j16", "-i", f"{lists}/urls", "-d", str(out)]

    return [
        {"name": "bits get -i", "words": get, "service": "warm"},
        {"name": "aria2c -j16", "words": aria},
        {"name": "aria2c -j16 --file-allocation=none", "words": lambda out: [*aria(out), "--file-allocation=none"]},
        {"name": "aria2c -j16 +sync", "words": aria, "sync": True},
        {"name": "curl --parallel-max 16", "words": curl},
        {"name": "curl --parallel-max 16 +sync", "words": curl, "sync": True},
        {"name": "bits get -i, service started by it", "words": get, "service": "cold"},
    ]


def small_names():
    return [f"small-{n:04}" for n in range(SMALL_COUNT)]


def make_files(www, size):
    www.mkdir()
    block = os.urandom(32 << 20)
    with open(www / "large", "wb") as file:
        for n in range(0, size, len(block)):
            file.write(n.to_bytes(8, "big") + block[8 : min(len(block), size - n)])
    for name in small_names():
        (www / name).write_bytes(os.urandom(SMALL_SIZE))


def measure(bench, cases, names, rounds):
    runs = {case["name"]: [] for case in cases}
    for round_ in range(rounds + 1):
        first = round_ % len(cases)  # whoever follows a large file may find its memory still warm: everybody in turn
        for case in cases[first:] + cases[:first]:
            numbers = bench.run(case)
            if round_ == 0:  # warms caches; its content is checked, its time is not taken
                bench.verify(names)
                continue
            runs[case["name"]].append(numbers)
            print(f"{bench.target}: {case['name']}: {numbers}", file=sys.stderr)
    return runs


def summary(runs, gib):
    rows = {}
    for name, list_ in runs.items():
        row = {key: statistics.median(run[key] for run in list_) for key in list_[0]}
        row |= {"wall_min_s": min(r["wall_s"] for r in list_), "wall_max_s": max(r["wall_s"] for r in list_)}
        rows[name] = row | {"cpu_s_per_gib": row["cpu_s"] / gib}
    first = next(iter(rows.values()))
    for row in rows.values():
        row["bits_wall_ratio"] = first["wall_s"] / row["wall_s"]
        row["bits_cpu_ratio"] = first["cpu_s"] / row["cpu_s"] if row["cpu_s"] else None
    return rows


def table(title, rows):
    lines = [f"\n### {title}\n", "| tool | wall s (min-max) | CPU s | CPU s/GiB | peak MiB | bits/it wall | bits/it CPU |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, r in rows.items():
        lines.append(
            f"| {name} | {r['wall_s']:.2f} ({r['wall_min_s']:.2f}-{r['wall_max_s']:.2f}) | {r['cpu_s']:.2f} | "
            f"{r['cpu_s_per_gib']:.2f} | {r['peak_kib'] / 1024:.0f} | {r['bits_wall_ratio']:.2f} | {r['bits_cpu_ratio']:.2f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="target/release/bits", type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large-mib", type=int, default=2048)
    parser.add_argument("--only", choices=["large", "small"])
    parser.add_argument("--disk", default="/var/tmp", type=Path, help="folder on the disk to measure")
    parser.add_argument("--memory", default="/dev/shm", type=Path, help="folder without a disk, for CPU alone")
    parser.add_argument("--targets", default="disk,memory")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.port = common.free_port()
    root = Path(tempfile.mkdtemp(prefix="openbits-bench-", dir="/dev/shm"))
    os.chmod(root, 0o755)
    make_files(root / "www", args.large_mib << 20)
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=args.port))
    nginx = subprocess.Popen(["nginx", "-c", str(root / "nginx.conf"), "-p", str(root)])
    results, texts, used = {}, [], [root]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nginx and the service end, too
    try:
        time.sleep(0.5)
        for place in args.targets.split(","):
            target = Path(tempfile.mkdtemp(prefix="openbits-bench-", dir=getattr(args, place)))
            used.append(target)
            bench = Bench(args, root, target)
            for kind, cases, names, gib in [
                ("large", large_cases, ["large"], args.large_mib / 1024),
                ("small", small_cases, small_names(), SMALL_COUNT * SMALL_SIZE / (1 << 30)),
            ]:
                if args.only in (None, kind):
                    try:
                        runs = measure(bench, cases(bench), names, args.rounds)
                    finally:
                        bench.service_stop()
                    rows = summary(runs, gib)
                    results[f"{kind} {place}"] = {"median": rows, "runs": runs}
                    texts.append(table(f"{kind}, into {place}", rows))
    finally:
        nginx.terminate()
        nginx.wait()
        for folder in used:
            shutil.rmtree(folder, ignore_errors=True)
    machine = common.machine()
    print(json.dumps(machine) + "\n" + "\n".join(texts))
    if args.out:
        args.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
