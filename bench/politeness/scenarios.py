#!/usr/bin/env python3
"""What the timeline of run.py does not have (spec/politeness.md 6): one scenario each, by the shipped service.

    bench/politeness/scenarios.py TESTBED BITS OUT.jsonl [--runs N] [--only NAME[,NAME]] [--id N] [--mode system|user]

late: start into a full link | half: the foreground is limited by its application to half of the link | chunks: it fetches 2.5 MB every
4 s | two: two services, of which the second starts 8 s later | route: base RTT +20 ms at 10 s | nots: no TCP timestamps | shallow: a
buffer of 20 ms (shallow0: without a background) | rtt10, rtt80: other delays | slow: the server gives 1 MB/s for 10 s, then all.
Rows have the share of the link that foreground and background got, and the delay by the queue, for each phase.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
RATE = 50
CAPACITY = RATE * 1e6 / 8 * 1500 / 1514
SENDERS = {"late": ("cubic", "bbr"), "half": ("cubic", "bbr"), "chunks": ("cubic", "bbr"), "two": ("cubic", "bbr"),
           "shallow": ("cubic", "bbr"), "shallow0": ("cubic", "bbr")}
NAMES = ["late", "half", "chunks", "two", "route", "nots", "shallow0", "shallow", "rtt10", "rtt80", "slow"]
# One client that fetches a chunk of a film every few seconds, over one connection, and says how long each took.
CHUNKS = """
import socket, sys, time
source, host, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
s = socket.create_connection((host, 80), source_address=(source, 0))
begin, number = time.time(), 0
while time.time() < begin + seconds:
    at = time.time()
    s.sendall(f"GET /big.bin HTTP/1.1\\r\\nHost: x\\r\\nRange: bytes={number * 2500000}-{number * 2500000 + 2499999}\\r\\n\\r\\n".encode())
    left, head = 2500000, b""
    while b"\\r\\n\\r\\n" not in head: head += s.recv(4096)
    left -= len(head.split(b"\\r\\n\\r\\n", 1)[1])
    while left > 0: left -= len(s.recv(min(left, 1 << 18)))
    print(round(time.time() - at, 3), flush=True)
    number += 1
    time.sleep(max(0, begin + 4 * number - time.time()))
"""


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(12)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def scenario(place, bits, name, sender, number, mode):
    bed, folder, net = str(place / "testbed.sh"), f"/dev/shm/bp/{number}", f"10.{100 + number}"
    inside = ["nice", "-n", "-10", "ip", "netns", "exec", f"bp{number}c"]
    url = f"http://{net}.0.1/big.bin"
    rtt, buffer = {"rtt10": 10, "rtt80": 80}.get(name, 30), 20 if name.startswith("shallow") else 200
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([bed, "down", str(number)], **quiet)
    subprocess.run([bed, "up", str(number), str(RATE), str(buffer), str(rtt)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([bed, "cc", str(number), sender, sender], check=True)
    running, row = [], {"sc": name, "cc": sender}

    def background(source=3):
        own = pathlib.Path(folder, f"own{source}")
        own.mkdir(exist_ok=True)
        command = [sys.executable, str(HERE / "background.py"), bits, str(own), f"{net}.1.{source}", url, "--mode", mode]
        running.append(subprocess.Popen(inside + command, stdout=subprocess.DEVNULL, stderr=open(own / "said", "w")))

    def foreground(seconds, *more):
        command = ["curl", "-s", "-o", "/dev/null", "--max-time", str(seconds), "--interface", f"{net}.1.2", *more, url]
        running.append(subprocess.Popen(inside + command))

    try:
        if name == "nots":
            subprocess.run(["ip", "netns", "exec", f"bp{number}s", "sysctl", "-qw", "net.ipv4.tcp_timestamps=0"], check=True)
        meter = subprocess.Popen(inside + [str(place / "meter"), "eth0", "50", "60", f"{folder}/m.csv"], stdout=subprocess.PIPE, text=True)
        running.append(meter)
        meter.stdout.readline()
        pings = open(f"{folder}/ping.txt", "w")
        running.append(subprocess.Popen(inside + ["ping", "-n", "-D", "-i", "0.05", "-I", f"{net}.1.4", f"{net}.0.1"], stdout=pings))
        time.sleep(1)
        t = time.time()
        if name == "late":
            foreground(26)
            time.sleep(6)
            background()
            time.sleep(20)
            phases = {"before": (3, 6), "with": (8, 26)}
        elif name == "half":
            background()
            time.sleep(6)
            foreground(26, "--limit-rate", str(int(CAPACITY / 2)))
            time.sleep(26)
            phases = {"solo": (2, 6), "first10": (7, 16), "last10": (22, 32)}
        elif name == "chunks":
            chunks = ["python3", "-c", CHUNKS, f"{net}.1.2", f"{net}.0.1"]
            alone = subprocess.run(inside + chunks + ["12"], stdout=subprocess.PIPE, text=True).stdout.split()
            t = time.time()
            background()
            time.sleep(6)
            beside = subprocess.run(inside + chunks + ["24"], stdout=subprocess.PIPE, text=True).stdout.split()
            row["alone_s"], row["beside_s"] = [float(x) for x in alone], [float(x) for x in beside]
            phases = {"solo": (2, 6), "with": (6, 30)}
        elif name == "two":
            background(3)
            time.sleep(8)
            background(2)
            time.sleep(42)
            phases = {"one": (2, 8), "both": (10, 50)}
        elif name == "route":
            background()
            time.sleep(10)
            subprocess.run(["kill", "-USR1", pathlib.Path(folder, "relay.pid").read_text().strip()], check=True)
            time.sleep(25)
            phases = {"pre": (3, 10), "post5": (10, 15), "post20": (20, 25), "post25": (25, 35)}
        elif name == "slow":
            # The server's own shaper: a queue that the path does not have.
            slow = ["ip", "netns", "exec", f"bp{number}s"]
            conf = pathlib.Path(folder, "nginx.conf")
            conf.write_text(conf.read_text().replace("root /dev/shm/bp;", "root /dev/shm/bp; limit_rate_after 5m; limit_rate 1m;"))
            reload = slow + ["nginx", "-p", folder, "-c", str(conf), "-s", "reload"]
            subprocess.run(reload, check=True, **quiet)
            time.sleep(0.5)
            t = time.time()
            background()
            time.sleep(10)
            conf.write_text(conf.read_text().replace("limit_rate_after 5m; limit_rate 1m;", ""))
            subprocess.run(reload, check=True, **quiet)
            # The old workers go on with their connections; without them the next request meets the fast one.
            time.sleep(0.3)
            for pid in subprocess.run(["pgrep", "-P", pathlib.Path(folder, "nginx.pid").read_text().strip()], stdout=subprocess.PIPE,
                                      text=True).stdout.split():
                if "shutting down" in pathlib.Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(int(pid), 9)
            time.sleep(20)
            phases = {"slow": (3, 10), "after5": (10, 15), "after": (18, 28)}
        else:
            if name != "shallow0":
                background()
            time.sleep(10)
            foreground(18)
            time.sleep(24)
            phases = {"solo": (3, 10), "fg": (11, 28), "rec": (31, 34)}
        for process in running:
            stop(process)
        pings.close()
        series = [tuple(map(float, line.split(","))) for line in open(f"{folder}/m.csv")]
        delays = [(float(line[1:line.index("]")]), float(line.split("time=")[1].split()[0])) for line in open(f"{folder}/ping.txt")
                  if line.startswith("[") and "time=" in line]
        base = min(delay for _, delay in delays)
        row["load"] = round(os.getloadavg()[0], 1)
        for phase, (begin, end) in phases.items():
            def share(address):
                return round(sum(x[2] for x in series if x[1] == address and t + begin <= x[0] < t + end) / CAPACITY / (end - begin) * 100, 1)
            queue = sorted(delay - base for at, delay in delays if t + begin <= at < t + end)
            row[phase] = {"fg%": share(2), "bg%": share(3), "qd50": round(queue[len(queue) // 2], 1), "qd95": round(queue[int(len(queue) * .95)], 1)}
        for own in sorted(pathlib.Path(folder).glob("own*")):
            said = (own / "said").read_text().strip().splitlines()
            if said and said[-1].startswith("{"):
                row[own.name] = json.loads(said[-1])["modes"]
            if name == "nots":
                lines = [json.loads(line) for line in (own / "pace.jsonl").read_text().splitlines()]
                row["blind"] = any(line["pace"] and line["pace"]["blind"] for line in lines)
    finally:
        for process in running:
            stop(process)
        subprocess.run([bed, "down", str(number)], **quiet)
    return row


def main():
    parser = argparse.ArgumentParser()
    for name in ("testbed", "bits", "out"):
        parser.add_argument(name)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--id", type=int, default=60)
    parser.add_argument("--mode", default="system")
    given = parser.parse_args()
    run = load("run")
    run.prepare(given.testbed)
    place = run.PLACE
    bits = str(pathlib.Path(given.bits).resolve())
    for rep in range(given.runs):
        for name in given.only.split(","):
            for sender in SENDERS.get(name, ("cubic",)):
                row = dict(scenario(place, bits, name, sender, given.id, given.mode), rep=rep,
                           realtime=os.sched_getscheduler(0) == os.SCHED_RR)
                with open(given.out, "a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
