#!/usr/bin/env python3
"""One background transfer by the shipped service, as a command that the politeness testbed runs in its client namespace.

    background.py BITS FOLDER SOURCE-ADDRESS URL [JOBS [PRIORITY [system|user]]]

Starts a service of its own (state in FOLDER), creates JOBS jobs bound to the source address, and stays until it is terminated;
then it stops the service and prints its CPU seconds (service and workers) to FOLDER/bg.json.
"""
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


def main():
    bits, folder, source, url = sys.argv[1:5]
    jobs = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    priority = sys.argv[6] if len(sys.argv) > 6 else "NORMAL"
    mode = sys.argv[7] if len(sys.argv) > 7 else "user"
    place = pathlib.Path(folder)
    home = pathlib.Path("/var/tmp") / f"openbits-politeness-{os.getpid()}"
    (home / "run").mkdir(parents=True, mode=0o700)
    policy = home / "policy.toml"
    if jobs > 1:
        policy.write_text(f"[queue]\nmax_background = {jobs}\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"),
           "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config"), "STATE_DIRECTORY": str(home / "state"),
           "RUNTIME_DIRECTORY": str(home / "run"), "SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE", "")}
    log = open(place / "service.log", "ab")
    service = subprocess.Popen([bits, "service", f"--{mode}"], env=env, stdout=log, stderr=log, cwd=home)
    trace = open(place / "pace.jsonl", "w")
    ids = []

    def end(*_):
        service.send_signal(signal.SIGTERM)
        try:
            service.wait(10)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        (place / "bg.json").write_text(json.dumps({"user_s": used.ru_utime, "system_s": used.ru_stime}))
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
    for number in range(jobs):
        status, answer = ask(door, "POST", "/v1/jobs", {
            "display_name": f"background {number}", "resume": True,
            "files": [{"remote_name": url, "local_name": str(home / f"file{number}")}],
            "properties": {"priority": priority, "bind": source}})
        if status != 201:
            print(answer, file=sys.stderr)
            end()
        ids.append(answer["job"]["id"])
    while True:
        time.sleep(0.2)
        _, job = ask(door, "GET", f"/v1/jobs/{ids[0]}")
        trace.write(json.dumps({"t": time.time(), "state": job["state"], "bytes": job["bytes_transferred"], "pace": job["pace"]}) + "\n")
        trace.flush()
        if job["state"] not in ("QUEUED", "CONNECTING", "TRANSFERRING"):
            print(job["state"], job["error"], file=sys.stderr)
            end()


if __name__ == "__main__":
    main()
