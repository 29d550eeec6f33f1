#!/usr/bin/env python3
"""A back-end for bits-server: it is told of finished uploads and answers each with a reply.

    backend.py [--port PORT] [--keep DIR] [--copy]

By reference (notification = "reference") it reads the upload from the path it is given and writes the reply where it
is told; by value (notification = "value") the upload is the request's body and the reply the answer's. Uploads are
kept in DIR, named by their SHA-256, so that the same upload told twice is kept once: bits-server tells at least once,
never exactly once. With --copy the upload is delivered to its destination as well.

Nothing but Python's standard library. Prints its port when it is ready.
"""
import argparse
import hashlib
import http.server
import pathlib
import shutil

MAX_UPLOAD = 1 << 30


def reply_to(upload: pathlib.Path) -> bytes:
    """The application's work: here, the digest and the size of what came."""
    digest = hashlib.sha256()
    with upload.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return f"sha256 {digest.hexdigest()} size {upload.stat().st_size}\n".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        if length > MAX_UPLOAD:
            return self.answer(413, b"")
        reference = self.headers.get("BITS-Request-DataFile-Name")
        keep = self.server.keep
        incoming = keep / f".incoming-{id(self)}"
        if reference:
            # The file is the server's: copy what is to stay, before answering.
            shutil.copyfile(reference, incoming)
        else:
            with incoming.open("wb") as file:
                while length > 0:
                    piece = self.rfile.read(min(length, 1 << 20))
                    if not piece:
                        incoming.unlink()
                        return self.answer(400, b"")
                    file.write(piece)
                    length -= len(piece)
        reply = reply_to(incoming)
        name = reply.split()[1].decode()
        incoming.replace(keep / name)
        print("told", self.headers.get("BITS-Original-Request-URL"), name, flush=True)
        if reference:
            pathlib.Path(self.headers["BITS-Response-DataFile-Name"]).write_bytes(reply)
            reply = b""
        self.answer(200, reply)

    def answer(self, status, body):
        self.send_response(status)
        if status == 200 and self.server.copy:
            self.send_header("BITS-Copy-File-To-Destination", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("uploads"))
    parser.add_argument("--copy", action="store_true")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    server.keep, server.copy = arguments.keep, arguments.copy
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
