#!/usr/bin/env python3
"""Measures libopenbits.so: what EnumJobs costs with a long queue, and what one call costs beside curl on the same socket.

The library is called through its vtables as a program does it; curl asks for what the library asks for (one job), many times over one
connection, and once for each process. Both take turns. Targets: EnumJobs of 10,000 jobs in less than 150 ms; a call costs at most 1.5 times
curl's round trip.
"""

import argparse
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
MANAGER = "5fd42ad5-c04e-4d36-adc7-e08ff15737ad"
IID_MANAGER = "5ce34c0d-0dc9-4c1f-897c-daa1b78cee7c"
POLICY = "[limits]\njobs_per_machine = 1000000\njobs_per_user = 1000000\n"


def guid(text):
    return (ctypes.c_ubyte * 16).from_buffer_copy(uuid.UUID(text).bytes_le)


class Object:
    """An interface pointer, released at the end."""

    def __init__(self, pointer):
        self.pointer = pointer
        self.table = ctypes.cast(pointer, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]

    def method(self, slot, *types):
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *types)(self.table[slot])

    def call(self, slot, types, *arguments):
        code = self.method(slot, *types)(self.pointer, *arguments)
        assert code >= 0, hex(code & 0xFFFFFFFF)
        return code

    def release(self):
        self.method(2)(self.pointer)


class Service:
    def __init__(self, bits, folder):
        self.socket = folder / "bitsd.sock"
        (folder / "policy.toml").write_text(POLICY)
        self.log = open(folder / "bitsd.log", "w")
        self.process = subprocess.Popen(
            ["bitsd", "--user", "--socket", self.socket, "--database", folder / "queue.db", "--policy", folder / "policy.toml"],
            executable=bits, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log,
            env={**os.environ, "HOME": str(folder)},
        )
        end = time.monotonic() + 30
        while True:
            try:
                self.ask("GET", "/v1/service")
                return
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, "the service does not answer"
                time.sleep(0.01)

    def connection(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        return connection

    def ask(self, method, path, body=None, connection=None):
        connection = connection or self.connection()
        connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status < 300, data
        return json.loads(data)

    def fill(self, jobs):
        connection = self.connection()
        for number in range(jobs):
            made = self.ask("POST", "/v1/jobs", {"display_name": f"job {number}"}, connection)
        return made["job"]["id"]


def load(library):
    library = ctypes.CDLL(str(library))
    make = library.OpenbitsCreateInstance
    make.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    make.restype = ctypes.c_int32
    place = ctypes.c_void_p()
    code = make(guid(MANAGER), None, 4, guid(IID_MANAGER), ctypes.byref(place), 4)
    assert code == 0, hex(code & 0xFFFFFFFF)
    return Object(place.value)


def enumerate_jobs(manager, jobs):
    """Milliseconds: EnumJobs, Next of all, Release of all."""
    place, fetched = ctypes.c_void_p(), ctypes.c_uint32()
    places = (ctypes.c_void_p * jobs)()
    enum_jobs = manager.method(5, ctypes.c_uint32, ctypes.c_void_p)
    begin = time.perf_counter()
    assert enum_jobs(manager.pointer, 0, ctypes.byref(place)) == 0
    listed = time.perf_counter()
    enumerator = Object(place.value)
    enumerator.call(3, (ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p), jobs, places, ctypes.byref(fetched))
    made = time.perf_counter()
    assert fetched.value == jobs, fetched.value
    for pointer in places:
        Object(pointer).release()
    enumerator.release()
    return [(listed - begin) * 1e3, (made - listed) * 1e3, (time.perf_counter() - made) * 1e3]


def library_calls(job, count):
    """Microseconds of each GetState."""
    state = ctypes.c_int32()
    get_state = job.method(14, ctypes.c_void_p)
    times, place = [], ctypes.byref(state)
    for _ in range(count):
        begin = time.perf_counter()
        code = get_state(job.pointer, place)
        times.append((time.perf_counter() - begin) * 1e6)
        assert code == 0
    return times


def curl_calls(service, job, count, folder):
    """Microseconds of each request of one curl over one connection."""
    config = folder / "curl.conf"
    url = f'url = "http://localhost/v1/jobs/{job}?held=true"\noutput = "/dev/null"\n'
    config.write_text(url * count)
    command = ["curl", "--silent", "--unix-socket", service.socket, "--write-out", "%{time_total} %{num_connects}\n", "--config", config]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    rows = [line.split(" ") for line in lines if line]
    assert len(rows) == count and sum(int(connects) for _, connects in rows) == 1, "one connection"
    return [float(seconds) * 1e6 for seconds, _ in rows[1:]]


def curl_processes(service, job, count):
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        command = ["curl", "--silent", "--output", "/dev/null", "--unix-socket", service.socket, f"http://localhost/v1/jobs/{job}?held=true"]
        subprocess.run(command, check=True)
        times.append((time.perf_counter() - begin) * 1e6)
    return times


def summary(times):
    times = sorted(times)
    return {"median": round(statistics.median(times), 1), "p10": round(times[len(times) // 10], 1), "p99": round(times[len(times) * 99 // 100], 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=pathlib.Path, default=ROOT / "target/release/bits")
    parser.add_argument("--library", type=pathlib.Path, default=ROOT / "target/release/libopenbits.so")
    parser.add_argument("--build", default="release", help="what was built, for the record")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1_000, help="in each round")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="obcom", dir="/tmp"))
    service = Service(arguments.bits.resolve(), folder)
    try:
        os.environ["OPENBITS_SOCKET"] = str(service.socket)
        last = service.fill(arguments.jobs)
        manager = load(arguments.library.resolve())
        enumerations = [enumerate_jobs(manager, arguments.jobs) for _ in range(arguments.rounds + 1)][1:]
        place = ctypes.c_void_p()
        manager.call(4, (ctypes.c_void_p, ctypes.c_void_p), guid(last), ctypes.byref(place))
        job = Object(place.value)
        library, curl = [], []
        for _ in range(arguments.rounds):
            library += library_calls(job, arguments.calls)
            curl += curl_calls(service, last, arguments.calls, folder)
        processes = curl_processes(service, last, 20)
        result = {
            "build": arguments.build,
            "load_1min": open("/proc/loadavg").read().split(" ")[0],
            "jobs": arguments.jobs,
            "enum_jobs_ms": summary([row[0] for row in enumerations]),
            "next_all_ms": summary([row[1] for row in enumerations]),
            "release_all_from_python_ms": summary([row[2] for row in enumerations]),
            "get_state_us": summary(library),
            "curl_same_request_one_connection_us": summary(curl),
            "curl_one_process_us": summary(processes),
            "get_state_by_curl": round(statistics.median(library) / statistics.median(curl), 2),
        }
        text = json.dumps(result, indent=2)
        print(text)
        if arguments.out:
            arguments.out.write_text(text + "\n")
    finally:
        service.process.terminate()
        service.process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
