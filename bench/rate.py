#!/usr/bin/env python3
"""Measures limits of bandwidth: mean error and CPU of the system's service beside curl --limit-rate, and the time of live switches.

Runs in a network namespace of its own (needs root, unshare, ip, nginx, curl, openssl), so that the counters of its loopback show these
transfers only. Two owners (accounts `games` and `man` of every Debian) have jobs at a limit for 20 s each, over HTTP and HTTPS.

    bench/rate.py --bits target/release/bits --out bench/results/rate.json
"""

import argparse
import json
import os
import pwd
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

OWNERS = ["games", "man"]
SIZE = 8 << 30
HTTP, HTTPS = 8480, 8443

NGINX = """
daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; keepalive_timeout 60;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
  scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{http}; root {root}/www; }}
  server {{ listen 127.0.0.1:{https} ssl http2; root {root}/www; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem; }}
}}
"""

POLICY = """
[bandwidth.simple]
enabled = true
hours = "00-00"
rate = {rate}
[scheduler]
max_background = 4
[disk]
preallocate = false
min_free = 0
[tls]
extra_ca = "{root}/ca.pem"
"""


def family(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [int(child) for child in children]


def wire():
    """Bytes that came over this namespace's loopback (sysfs would show another's)."""
    line = next(line for line in Path("/proc/self/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


class Lab:
    """The server, the service, and their folder."""

    def __init__(self, bits, folder):
        self.bits, self.root = bits, Path(tempfile.mkdtemp(prefix="obrate", dir=folder))
        self.root.chmod(0o755)
        (self.root / "www").mkdir()
        with open(self.root / "www/file", "wb") as file:
            file.truncate(SIZE)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        ssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        at = lambda name: str(self.root / name)
        subprocess.run(ssl + ["-subj", "/CN=lab", "-keyout", at("ca.key"), "-out", at("ca.pem")], **quiet)
        leaf = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
        subprocess.run(leaf + ["-keyout", at("key.pem"), "-out", at("csr.pem")], **quiet)
        Path(at("ext")).write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        sign = ["openssl", "x509", "-req", "-in", at("csr.pem"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"]
        subprocess.run(sign + ["-days", "2", "-extfile", at("ext"), "-out", at("cert.pem")], **quiet)
        Path(at("nginx.conf")).write_text(NGINX.format(root=self.root, http=HTTP, https=HTTPS))
        self.nginx = subprocess.Popen(["nginx", "-c", at("nginx.conf")], stderr=subprocess.DEVNULL)
        self.limit("unlimited", reload=False)
        words = [bits, "service", "--system", "--socket", at("run/s.sock"), "--database", at("state/q.db"), "--policy", at("policy.toml")]
        # Our root certificate must be readable for the owners' workers.
        os.chmod(at("ca.pem"), 0o644)
        self.service = subprocess.Popen(words, stderr=open(at("log"), "w"), env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
        for owner in OWNERS:
            out = self.root / owner
            out.mkdir()
            os.chown(out, pwd.getpwnam(owner).pw_uid, -1)
        for _ in range(200):
            try:
                self.ask("GET", "/v1/service")
                return
            except (OSError, RuntimeError):
                time.sleep(0.05)
        raise SystemExit("the service does not come up: " + Path(at("log")).read_text())

    def limit(self, rate, reload=True):
        value = f'"{rate}"' if isinstance(rate, str) else f'"{rate}MB/s"'
        (self.root / "new.toml").write_text(POLICY.format(rate=value, root=self.root))
        os.replace(self.root / "new.toml", self.root / "policy.toml")
        if reload:
            self.ask("POST", "/v1/policy/reload")

    def ask(self, method, path, body=None, owner=None):
        """One request; as another user through a process of his."""
        if owner:
            account = pwd.getpwnam(owner)
            words = ["curl", "-sS", "--unix-socket", str(self.root / "run/s.sock"), "-X", method, "http://x" + path]
            if body is not None:
                words += ["-H", "content-type: application/json", "-d", json.dumps(body)]
            done = subprocess.run(words, user=account.pw_uid, group=account.pw_gid, extra_groups=[], capture_output=True, check=True)
            return json.loads(done.stdout)
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(30)
        stream.connect(str(self.root / "run/s.sock"))
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        stream.sendall(head.encode() + data)
        answer = b""
        while part := stream.recv(65536):
            answer += part
        head, _, data = answer.partition(b"\r\n\r\n")
        if not head.split(b" ")[1].startswith(b"2"):
            raise RuntimeError(answer.decode())
        return json.loads(data) if data else None

    def create(self, count, scheme):
        url = f"https://127.0.0.1:{HTTPS}/file" if scheme == "https" else f"http://127.0.0.1:{HTTP}/file"
        jobs = []
        for n in range(count):
            owner = OWNERS[n % len(OWNERS)]
            files = [{"remote_name": url, "local_name": str(self.root / owner / f"out{n}")}]
            body = {"display_name": f"{n}", "files": files, "resume": True, "properties": {"priority": "NORMAL"}}
            answer = self.ask("POST", "/v1/jobs", body, owner)
            if "job" not in answer:
                raise SystemExit(f"no job: {answer}")
            jobs.append(answer["job"]["id"])
        for _ in range(400):
            states = {self.ask("GET", f"/v1/jobs/{job}")["state"] for job in jobs}
            if states == {"TRANSFERRING"}:
                return jobs
            time.sleep(0.05)
        raise SystemExit(f"states {states}: {[self.ask('GET', f'/v1/jobs/{job}') for job in jobs]}")

    def moved(self, jobs):
        return sum(self.ask("GET", f"/v1/jobs/{job}")["bytes_transferred"] for job in jobs)

    def cancel(self, jobs):
        for job in jobs:
            self.ask("POST", f"/v1/jobs/{job}/cancel")

    def close(self):
        for process in (self.service, self.nginx):
            process.terminate()
            process.wait(timeout=20)
        shutil.rmtree(self.root)


def steady(lab, mb, count, scheme, seconds):
    """Jobs at a limit; the first second is not counted."""
    lab.limit(mb)
    jobs = lab.create(count, scheme)
    time.sleep(1.5)
    cpu = sum(map(cpu_of, family(lab.service.pid)))
    begun, bytes_before, wire_before = time.monotonic(), lab.moved(jobs), wire()
    time.sleep(seconds)
    took, moved, on_wire = time.monotonic() - begun, lab.moved(jobs) - bytes_before, wire() - wire_before
    cpu = sum(map(cpu_of, family(lab.service.pid))) - cpu
    lab.cancel(jobs)
    rate = moved / took
    return {
        "tool": "bits", "limit_MBps": mb, "jobs": count, "owners": min(count, 2), "scheme": scheme, "seconds": round(took, 2),
        "bytes_per_s": round(rate), "error_percent": round((rate / mb / 1e6 - 1) * 100, 2),
        "loopback_error_percent": round((on_wire / took / mb / 1e6 - 1) * 100, 2), "cpu_percent": round(cpu / took * 100, 1),
    }


def curl(lab, mb, count, scheme, seconds):
    """curl processes, each with its part of the limit."""
    url = f"https://127.0.0.1:{HTTPS}/file" if scheme == "https" else f"http://127.0.0.1:{HTTP}/file"
    part = int(mb * 1e6 / count)
    words = ["curl", "-s", "--limit-rate", str(part), "--cacert", str(lab.root / "ca.pem"), "-o", "/dev/null", url]
    # Its average over the first seconds holds the start: that is its own way to count.
    running = [subprocess.Popen(words) for _ in range(count)]
    time.sleep(1.5)
    cpu, begun, before = sum(cpu_of(p.pid) for p in running), time.monotonic(), wire()
    time.sleep(seconds)
    took, on_wire = time.monotonic() - begun, wire() - before
    cpu = sum(cpu_of(p.pid) for p in running) - cpu
    for process in running:
        process.kill()
        process.wait()
    rate = on_wire / took
    return {
        "tool": "curl", "limit_MBps": mb, "jobs": count, "scheme": scheme, "seconds": round(took, 2),
        "loopback_error_percent": round((rate / mb / 1e6 - 1) * 100, 2), "cpu_percent": round(cpu / took * 100, 1),
    }


def settled(expected, falls=False, within=5.0):
    """Seconds until the loopback moves at the expected rate, measured over 200 ms. After a fall less is right, too: what was received
    ahead is taken first."""
    begun = time.monotonic()
    while time.monotonic() - begun < within:
        at, before = time.monotonic(), wire()
        time.sleep(0.2)
        rate = (wire() - before) / (time.monotonic() - at)
        if (falls or rate >= expected * 0.85) and rate <= max(expected * 1.15, 20e3):
            return round(at - begun, 2)
    return None


def switches(lab):
    """How long live changes take, from the edit of the file (no reload is asked for) to the new speed."""
    times = []
    lab.limit(10)
    jobs = lab.create(4, "http")
    time.sleep(2)
    for before, after in [(10, 2), (2, 20), (20, 1), (1, 10)]:
        lab.limit(after, reload=False)
        times.append({"from_MBps": before, "to_MBps": after, "seconds": settled(after * 1e6, after < before)})
        time.sleep(1.5)
    lab.limit("0kbps", reload=False)
    times.append({"from_MBps": 10, "to_MBps": 0, "seconds": settled(0, True)})
    time.sleep(1)
    lab.limit(10, reload=False)
    times.append({"from_MBps": 0, "to_MBps": 10, "seconds": settled(10e6)})
    lab.cancel(jobs)
    return times


def unshared(lab):
    """One of two owners leaves: how long until the other has everything."""
    lab.limit(10)
    jobs = lab.create(2, "http")
    time.sleep(2)
    alone = lab.moved(jobs[:1])
    time.sleep(2)
    share = (lab.moved(jobs[:1]) - alone) / 2
    lab.ask("POST", f"/v1/jobs/{jobs[1]}/suspend")
    seconds = settled(10e6)
    lab.cancel(jobs)
    return {"share_of_one_of_two_MBps": round(share / 1e6, 2), "seconds_until_the_other_has_all": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", default="target/release/bits")
    parser.add_argument("--folder", default="/dev/shm", help="memory, so that the disk sets no limit")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--limits", default="1,10,100")
    parser.add_argument("--out")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.bits = str(Path(args.bits).resolve())
    if not args.inside:
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__, *sys.argv[1:], "--inside"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    lab = Lab(args.bits, args.folder)
    runs = []
    try:
        for mb in [float(n) for n in args.limits.split(",")]:
            for count in (1, 4):
                for scheme in ("http", "https"):
                    for measure in (steady, curl):
                        run = measure(lab, mb, count, scheme, args.seconds)
                        print(json.dumps(run), file=sys.stderr, flush=True)
                        runs.append(run)
        live = {"policy_edits": switches(lab), "owners": unshared(lab)}
    finally:
        lab.close()
    result = common.machine() | {
        "profile": "release" if "release" in args.bits else "debug", "runs": runs, "live": live,
        "worst_error_percent": max(abs(run["error_percent"]) for run in runs if run["tool"] == "bits"),
        "mean_error_percent": round(statistics.mean(abs(run["error_percent"]) for run in runs if run["tool"] == "bits"), 2),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
