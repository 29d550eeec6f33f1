#!/usr/bin/env python3
"""Measures `bits put` to bits-server beside `curl -T` to nginx's WebDAV, interleaved, and bits-server with many sessions at once.

Rounds are interleaved (A B A B), so that a slow minute of the machine meets both. CPU seconds of bits are those of the command
plus those of its service; the servers' are counted apart. bits-server syncs what it acknowledges to the disk, nginx does not:
`+sync` means that the delivered file is fsynced after curl.

    bench/upload.py --rounds 5 --out bench/results/upload.json
    bench/upload.py --only sessions --sessions 1000
"""

import argparse
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
from common import cpu_of

GUID = "{7df0354d-249b-430f-820d-3d2a9bef4931}"

NGINX = """
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.err;
events {{ worker_connections 2048; }}
http {{
  access_log off; client_max_body_size 0;
  client_body_temp_path {root}/dav/.body; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
  scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ root {root}/dav; dav_methods PUT; }} }}
}}
"""


def resident_of(pid):
    """Resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Bench:
    def __init__(self, args, root):
        self.args, self.root = args, root
        self.env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        home = root / "home"
        home.mkdir(mode=0o700)
        self.env |= {name: str(home) for name in ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"]}
        (root / "store").mkdir()
        (root / "dav").mkdir()
        self.dav_port = common.free_port()
        (root / "nginx.conf").write_text(NGINX.format(root=root, port=self.dav_port))
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", str(root / "nginx.conf"), "-p", str(root)])
        settings = root / "server.toml"
        settings.write_text(
            '[limits]\nsessions = 100000\nconnections = 4096\nconnections_per_address = 4096\n'
            '[[path]]\nprefix = "/"\nenabled = true\noverwrite = true\nsessions_per_user = 0\n'
        )
        words = [args.server, "--root", str(root / "store"), "--listen", "127.0.0.1:0", "--config", str(settings)]
        quiet = self.env | {"BITS_SERVER_LOG": "error"}
        self.server = subprocess.Popen(words, env=quiet, stdout=subprocess.PIPE, text=True)
        self.address = self.server.stdout.readline().strip().removeprefix("listening on ")
        self.port = int(self.address.rsplit(":", 1)[1])

    def close(self):
        for process in [self.nginx, self.server]:
            process.terminate()
            process.wait()
        try:
            os.kill(self.service_pid(), 15)
        except (ValueError, KeyError, ProcessLookupError):
            pass

    def service_pid(self):
        words = [self.args.bits, "--user", "service-info", "--json"]
        out = subprocess.run(words, env=self.env, capture_output=True, text=True)
        return json.loads(out.stdout)["pid"]

    def run(self, name, words, server, delivered, service, sync):
        delivered.unlink(missing_ok=True)
        os.sync()
        time.sleep(0.3)
        service_pid = self.service_pid() if service else None
        before = cpu_of(service_pid) if service_pid else 0
        server_before, begin = cpu_of(server), time.monotonic()
        child = subprocess.Popen(words, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        if sync:
            fd = os.open(delivered, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
        wall = time.monotonic() - begin
        if status != 0:
            sys.exit(f"{words} ended with {status}: {errors.decode()[-2000:]}")
        cpu = used.ru_utime + used.ru_stime + (cpu_of(service_pid) - before if service_pid else 0)
        if digest(delivered) != self.digest:
            sys.exit(f"{name}: the delivered file is wrong")
        return {"wall_s": wall, "client_cpu_s": cpu, "server_cpu_s": cpu_of(server) - server_before}

    def throughput(self):
        source = self.root / "source"
        block = os.urandom(32 << 20)
        with open(source, "wb") as file:
            for n in range(self.args.mib // 32 or 1):
                file.write(n.to_bytes(8, "big") + block[8 : min(len(block), self.args.mib << 20)])
        self.digest, gib = digest(source), source.stat().st_size / (1 << 30)
        dav = f"http://127.0.0.1:{self.dav_port}/f"
        put = [self.args.bits, "--user", "-q", "put", str(source), f"http://{self.address}/f"]
        curl = ["curl", "-s", "-f", "-T", str(source), dav]
        cases = {
            "bits put -> bits-server": (put, self.server.pid, self.root / "store/f", True, False),
            "bits put --protocol put -> nginx": (
                [*put[:-1], dav, "--protocol", "put"], self.nginx.pid, self.root / "dav/f", True, False
            ),
            "curl -T -> nginx": (curl, self.nginx.pid, self.root / "dav/f", False, False),
            "curl -T -> nginx +sync": (curl, self.nginx.pid, self.root / "dav/f", False, True),
        }
        runs = {name: [] for name in cases}
        names = list(cases)
        for round_ in range(self.args.rounds + 1):
            first = round_ % len(names)
            for name in names[first:] + names[:first]:
                numbers = self.run(name, *cases[name])
                if round_:  # the first round warms caches
                    runs[name].append(numbers)
                    print(f"{name}: {numbers}", file=sys.stderr)
        rows = {}
        for name, list_ in runs.items():
            row = {key: statistics.median(run[key] for run in list_) for key in list_[0]}
            row["client_cpu_s_per_gib"], row["server_cpu_s_per_gib"] = row["client_cpu_s"] / gib, row["server_cpu_s"] / gib
            rows[name] = row
        first = next(iter(rows.values()))["wall_s"]
        for row in rows.values():
            row["bits_wall_ratio"] = first / row["wall_s"]
        return {"gib": gib, "median": rows, "runs": runs}

    def sessions(self):
        """Sessions that each hold a connection and a fragment half-way: memory of bits-server for each."""
        pid, count, open_ = self.server.pid, self.args.sessions, []
        idle = resident_of(pid)
        for n in range(count):
            stream = socket.create_connection(("127.0.0.1", self.port))
            head = f"BITS_POST /s{n} HTTP/1.1\r\nHost: h\r\n"
            create = f"BITS-Packet-Type: Create-Session\r\nBITS-Supported-Protocols: {GUID}\r\nContent-Length: 0\r\n\r\n"
            stream.sendall((head + create).encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += stream.recv(65536)
            lines = answer.decode().split("\r\n")
            if " 200 " not in lines[0]:
                sys.exit(f"session {n}: {lines[0]}")
            session = next(line.split(": ", 1)[1] for line in lines if line.lower().startswith("bits-session-id"))
            fragment = (
                f"BITS-Packet-Type: Fragment\r\nBITS-Session-Id: {session}\r\n"
                "Content-Range: bytes 0-1048575/10000000\r\nContent-Length: 1048576\r\n\r\n"
            )
            stream.sendall((head + fragment).encode() + bytes(512 << 10))
            open_.append(stream)
        time.sleep(2)
        busy = resident_of(pid)
        for stream in open_:
            stream.close()
        return {"sessions": count, "idle_bytes": idle, "busy_bytes": busy, "bytes_per_session": (busy - idle) / count}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="target/release/bits", type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--server", default="target/release/bits-server", type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--only", choices=["throughput", "sessions"])
    parser.add_argument("--disk", default="/var/tmp", type=Path, help="folder on the disk to measure")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="openbits-bench-", dir=args.disk))
    os.chmod(root, 0o755)
    bench, results = Bench(args, root), {}
    try:
        time.sleep(0.5)
        if args.only in (None, "throughput"):
            results["throughput"] = bench.throughput()
        if args.only in (None, "sessions"):
            results["sessions"] = bench.sessions()
    finally:
        bench.close()
        shutil.rmtree(root, ignore_errors=True)
    machine = common.machine()
    print(json.dumps(machine))
    for name, row in results.get("throughput", {}).get("median", {}).items():
        print(
            f"{name:34} {row['wall_s']:7.2f} s  bits/it {row['bits_wall_ratio']:.2f}  "
            f"client {row['client_cpu_s_per_gib']:.2f} s/GiB  server {row['server_cpu_s_per_gib']:.2f} s/GiB"
        )
    if "sessions" in results:
        row = results["sessions"]
        print(f"{row['sessions']} sessions at once: {row['bytes_per_session'] / 1024:.1f} KiB resident for each")
    if args.out:
        args.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
