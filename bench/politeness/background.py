#!/usr/bin/env python3
"""One background transfer by the shipped service, as a command that the politeness testbed runs in its client namespace.

    background.py BITS FOLDER SOURCE-ADDRESS URL [--jobs N] [--priority LEVEL] [--mode system|user] [--tls]
                  [--upload BITS-SERVER]

Starts a service of its own (state outside of FOLDER, log in it), creates the jobs bound to the source address, and stays until it is
terminated; then it stops the service and says on standard error, as JSON, how many CPU seconds service and workers took, and what
the pacing did. `--tls` starts a second server, with TLS, in the testbed's server namespace; `--upload` starts a
bits-server there and uploads a large file to it (`plain` instead: one PUT to URL).
"""
import argparse
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time


class Door(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    door = Door(path)
    door.request(method, target, None if body is None else json.dumps(body), {"Content-Type": "application/json"} if body else {})
    answer = door.getresponse()
    return answer.status, json.loads(answer.read() or b"null")


def secure(place, url):
    """The same files over TLS: an nginx of our own in the server's namespace, which the address tells (10.100+N.0.1)."""
    address = url.split("/")[2].split(":")[0]
    number = int(address.split(".")[1]) - 100
    tls = place / "tls"
    tls.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bottleneck",
                    "-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", str(tls / "key.pem"), "-out", str(tls / "cert.pem")], check=True, stderr=subprocess.DEVNULL)
    (tls / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {tls}/nginx.pid; error_log {tls}/err.log; events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {tls}/1; proxy_temp_path {tls}/2; fastcgi_temp_path {tls}/3; uwsgi_temp_path {tls}/4;
 scgi_temp_path {tls}/5; server {{ listen 8443 ssl http2; ssl_certificate {tls}/cert.pem; ssl_certificate_key {tls}/key.pem;
 root /dev/shm/bp; }} }}""")
    server = subprocess.Popen(["nice", "-n", "-10", "ip", "netns", "exec", f"bp{number}s", "nginx", "-p", str(tls), "-c", str(tls / "nginx.conf")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return f"https://{address}:8443/" + url.split("/", 3)[3], server


def receiver(place, url, program):
    """A bits-server of our own in the server's namespace; what it gets stays in memory."""
    address = url.split("/")[2].split(":")[0]
    number = int(address.split(".")[1]) - 100
    (place / "store").mkdir()
    server = subprocess.Popen(["nice", "-n", "-10", "ip", "netns", "exec", f"bp{number}s", program, "--root", str(place / "store"),
                               "--listen", f"{address}:8090"], stdout=subprocess.DEVNULL, stderr=open(place / "server.log", "w"))
    time.sleep(0.5)
    return f"http://{address}:8090/up", server


def main():
    parser = argparse.ArgumentParser()
    for name in ("bits", "folder", "source", "url"):
        parser.add_argument(name)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--priority", default="NORMAL")
    parser.add_argument("--mode", default="system")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--upload")
    given = parser.parse_args()
    bits, source, url, jobs, priority, mode = given.bits, given.source, given.url, given.jobs, given.priority, given.mode
    place = pathlib.Path(given.folder)
    # In memory: what the disk of the machine is busy with is not measured.
    home = pathlib.Path("/dev/shm") / f"openbits-politeness-{os.getpid()}"
    (home / "run").mkdir(parents=True, mode=0o700)
    policy = home / "policy.toml"
    # The file is larger than the memory: no space is reserved for it.
    policy.write_text("[disk]\npreallocate = false\n" + (f"[scheduler]\nmax_background = {jobs}\n" if jobs > 1 else ""))
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"),
           "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config"), "STATE_DIRECTORY": str(home / "state"),
           "RUNTIME_DIRECTORY": str(home / "run")}
    server = None
    if given.tls:
        url, server = secure(place, url)
        env["SSL_CERT_FILE"] = str(place / "tls" / "cert.pem")
    if given.upload and given.upload != "plain":
        url, server = receiver(place, url, given.upload)
    log = open(place / "service.log", "ab")
    service = subprocess.Popen([bits, "service", f"--{mode}", "--socket", str(home / "run" / "bits.sock"), "--database",
                                str(home / "queue.db"), "--policy", str(policy)], env=env, stdout=log, stderr=log, cwd=home)
    trace = open(place / "pace.jsonl", "w")
    ids, modes = [], {}

    def end(*_):
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(10)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if server:
            server.terminate()
        print(json.dumps({"user_s": used.ru_utime, "system_s": used.ru_stime, "peak_kib": used.ru_maxrss, "modes": modes}), file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    door = None
    for _ in range(200):
        found = list((home / "run").rglob("*.sock"))
        if found:
            try:
                if ask(str(found[0]), "GET", "/v1/service")[0] == 200:
                    door = str(found[0])
                    break
            except OSError:
                pass
        time.sleep(0.02)
    if door is None:
        print("the service does not answer", file=sys.stderr)
        end()
    for number in range(jobs):
        job = {"display_name": f"background {number}", "resume": True,
               "files": [{"remote_name": url, "local_name": str(home / f"file{number}")}],
               "properties": {"priority": priority, "bind": source}}
        if given.upload:
            job["type"] = "UPLOAD"
            job["files"] = [{"remote_name": f"{url}{number}", "local_name": "/dev/shm/bp/big.bin"}]
            if given.upload == "plain":
                job["properties"]["upload_protocol"] = "put"
        status, answer = ask(door, "POST", "/v1/jobs", job)
        if status != 201:
            print(answer, file=sys.stderr)
            end()
        ids.append(answer["job"]["id"])
    while True:
        time.sleep(0.2)
        _, job = ask(door, "GET", f"/v1/jobs/{ids[0]}")
        trace.write(json.dumps({"t": time.time(), "state": job["state"], "bytes": job["bytes_transferred"], "pace": job["pace"]}) + "\n")
        trace.flush()
        doing = job["pace"]["mode"] if job["pace"] else job["state"]
        modes[doing] = modes.get(doing, 0) + 1
        if job["state"] not in ("QUEUED", "CONNECTING", "TRANSFERRING"):
            print(job["state"], job["error"], file=sys.stderr)
            end()


if __name__ == "__main__":
    main()
