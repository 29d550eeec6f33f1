#!/usr/bin/env python3
"""The description of the API (docs/openapi.json) drives a fuzzer against the running service.

    scripts/apifuzz.py SECONDS [BITS]

Shown: no answer of class 5xx, no answer that breaks its own description, no crash (the process that was started is the one that
answers in the end), and no lost job: every job that was made and neither completed nor cancelled is listed in the end, and again
after a restart of the service. Installs schemathesis into a virtual environment of its own under target/.
"""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CANARIES = 50


def environment():
    """Path of schemathesis, installed if need be; None if that is not possible here."""
    place = ROOT / "target" / "apifuzz-venv"
    program = place / "bin" / "schemathesis"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            subprocess.run([str(place / "bin" / "pip"), "install", "-q", "schemathesis>=4,<5"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"SKIPPED: the fuzzer cannot be installed here: {error}", file=sys.stderr)
            return None
    return program


def forward(path):
    """A TCP port whose bytes go to the service's socket and back: the fuzzer speaks no Unix sockets."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            service = socket.socket(socket.AF_UNIX)
            try:
                service.connect(path)
            except OSError:
                client.close()
                continue
            threading.Thread(target=copy, args=(client, service), daemon=True).start()
            threading.Thread(target=copy, args=(service, client), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


class Door(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    door = Door(path)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    door.request(method, target, None if body is None else json.dumps(body), headers)
    answer = door.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


class Service:
    def __init__(self, bits, home):
        self.bits, self.home = bits, home
        self.socket = str(home / "run" / "openbits" / "bits.sock")
        self.process = None

    def start(self):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run"),
               "XDG_STATE_HOME": str(self.home / "state"), "XDG_CONFIG_HOME": str(self.home / "config")}
        log = open(self.home / "service.log", "ab")
        self.process = subprocess.Popen([self.bits, "service", "--user"], env=env, stdout=log, stderr=log, cwd=self.home)
        for _ in range(200):
            found = list((self.home / "run").rglob("*.sock"))
            if found:
                self.socket = str(found[0])
                try:
                    if ask(self.socket, "GET", "/v1/service")[0] == 200:
                        return
                except OSError:
                    pass
            time.sleep(0.05)
        sys.exit(f"the service does not answer:\n{(self.home / 'service.log').read_text()[-4000:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def listed(path):
    """All jobs that the service lists."""
    jobs, after = {}, ""
    while True:
        _, page = ask(path, "GET", f"/v1/jobs?limit=500{after}")
        jobs.update((job["id"], job["state"]) for job in page["jobs"])
        if not page["next"]:
            return jobs
        after = f"&after={page['next']}"


def volatile(path):
    """Downloads that end with the service, since nobody asked to keep them (docs/decisions/0028)."""
    status, answer = ask(path, "GET", "/v1/downloads")
    if status == 404:
        return set()
    views = (ask(path, "GET", f"/v1/downloads/{id}")[1] for id in answer["ids"])
    return {view["id"] for view in views if view["properties"].get("non_volatile") is not True}


class Listener(threading.Thread):
    """Which jobs were made, and which left the queue: what must be listed follows from it."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.alive, self.seen, self.seq = set(), 0, 0
        door = Door(path)
        door.request("GET", "/v1/events?after=0")
        self.stream = door.getresponse()
        door.sock.settimeout(None)

    def run(self):
        for line in self.stream:
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line[5:])
            self.seen += 1
            self.seq = event["seq"] or self.seq
            if event["kind"] == "gap":
                sys.exit("the listener was too slow")
            if event["kind"] == "created":
                self.alive.add(event["job"])
            if event["kind"] in ("cancelled", "acknowledged"):
                self.alive.discard(event["job"])

    def settle(self, seq):
        for _ in range(200):
            if self.seq >= seq:
                break
            time.sleep(0.05)


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    bits = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "target" / "debug" / "bits")
    program = environment()
    if program is None:
        return 0
    home = pathlib.Path(tempfile.mkdtemp(prefix="openbits-apifuzz-"))
    (home / "run").mkdir(mode=0o700)
    # Root's own jobs are exempt from limits; the fuzzer may make as many as it likes.
    service = Service(bits, home)
    service.start()
    listener = Listener(service.socket)
    listener.start()
    for number in range(CANARIES):
        status, answer = ask(service.socket, "POST", "/v1/jobs", {
            "display_name": f"canary {number}",
            "files": [{"remote_name": f"http://127.0.0.1:9/{number}", "local_name": str(home / f"file{number}")}]})
        assert status == 201, answer
    pid = service.process.pid
    port = forward(service.socket)
    result = subprocess.run([
        str(program), "run", str(ROOT / "docs" / "openapi.json"), "--url", f"http://127.0.0.1:{port}",
        "--max-time", str(seconds), "--phases", "examples,coverage,fuzzing", "--continue-on-failure",
        # Endless streams are no answers that a fuzzer could wait for.
        "--exclude-path-regex", "^/v1/(events|callbacks|jobs/[^/]+/certificate-checks)$",
        "--checks", "not_a_server_error,response_schema_conformance,content_type_conformance",
        "--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off", "--no-shrink"], cwd=home)
    failures = []
    if result.returncode != 0:
        failures.append(f"the fuzzer found failures (exit {result.returncode})")
    if service.process.poll() is not None or service.process.pid != pid:
        failures.append(f"the service ended with {service.process.poll()}")
    else:
        total = ask(service.socket, "GET", "/v1/service")[1]
        listener.settle(total["last_event"])
        found = listed(service.socket)
        if set(found) != listener.alive:
            failures.append(f"lost: {sorted(listener.alive - set(found))[:5]}, from nowhere: {sorted(set(found) - listener.alive)[:5]}")
        ends = volatile(service.socket)
        if service.stop() != 0:
            failures.append("the service did not end well")
        service.start()
        again = listed(service.socket)
        kept = set(found) - ends
        if set(again) != kept:
            failures.append(f"lost by the restart: {sorted(kept - set(again))[:5]}, came back: {sorted(set(again) - kept)[:5]}")
        print(f"{listener.seen} events, {len(found)} jobs in the end; service: {json.dumps(total)[:300]}")
        service.stop()
    log = (home / "service.log").read_text(errors="replace")
    if "panic" in log:
        failures.append("the service's log speaks of a panic:\n" + "\n".join(l for l in log.splitlines() if "panic" in l)[:2000])
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    if not failures:
        shutil.rmtree(home)
        print("nothing found")
    else:
        print(f"kept: {home}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
