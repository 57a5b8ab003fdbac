#!/usr/bin/env python3
"""server.py - an HTTP server on a free loopback port that behaves well or badly by the path.

    python3 tests/net/server.py FOLDER

Prints its port on one line, then serves until its standard input ends. /MODE/NAME is the file NAME of
FOLDER, served as MODE says:
  ok       with ranges
  plain    without ranges: always all of it
  cut      with ranges, but each answer ends after CUT bytes
  cutplain without ranges, each answer ends after CUT bytes
  once     the first request of each name is cut, later ones are ok
  shift    a wrong Content-Range
  longer   more bytes than the file has
  chunked  ok, but without a length
  stall    half, then nothing
  busy     503 twice for each name, then ok
  gone     404
  forbid   403
  move     302 to /ok/NAME
  loop     302 to itself
  file     302 to file:///etc/passwd
  empty    200 and no bytes
  head     an answer that is no HTTP
"""
import http.server
import os
import re
import sys
import threading
import time

CUT = 1000
folder = sys.argv[1]
seen = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def redirect(self, to):
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def fail(self, code):
        body = b"<html>no</html>" * 100
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self, data, start, mode):
        sent = data[start:]
        announced = len(sent)
        if mode == "longer":
            sent += b"x" * 100
            announced += 100
        if mode in ("cut", "cutplain"):
            sent = sent[:CUT]
        if start:
            self.send_response(206)
            first = start + 1 if mode == "shift" else start
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if mode == "chunked":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        if mode == "stall":
            self.wfile.write(sent[:len(sent) // 2])
            self.wfile.flush()
            time.sleep(30)
            sent = b""
        self.wfile.write(sent)
        if len(sent) < announced or mode == "chunked":
            self.close_connection = True

    def do_GET(self):
        mode, name = self.path.split("/")[1:3]
        first = seen.setdefault((mode, name), 0)
        seen[(mode, name)] += 1
        if mode == "gone":
            return self.fail(404)
        if mode == "forbid":
            return self.fail(403)
        if mode == "busy" and first < 2:
            return self.fail(503)
        if mode == "move":
            return self.redirect(f"/ok/{name}")
        if mode == "loop":
            return self.redirect(self.path)
        if mode == "file":
            return self.redirect("file:///etc/passwd")
        if mode == "head":
            self.wfile.write(b"hello\r\n\r\n")
            self.close_connection = True
            return None
        with open(os.path.join(folder, os.path.basename(name)), "rb") as f:
            data = f.read()
        if mode == "empty":
            data = b""
        start = 0
        match = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        if match and mode not in ("plain", "cutplain"):
            start = int(match.group(1))
            if start >= len(data):
                return self.fail(416)
        if mode == "once":
            mode = "cut" if first == 0 else "ok"
        return self.body(data, start, mode)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
