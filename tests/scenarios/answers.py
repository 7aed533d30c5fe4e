"""The application of the scenarios: says which server it runs on, gives a request its own number back, and
echoes what comes over a WebSocket (RFC 6455; messages of up to 125 bytes, which is all that its clients send)."""

import base64
import hashlib
import http.server
import os
import socket
import urllib.parse

NAME = socket.gethostname()
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = 8


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.echo()
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self.answer("%s answers %s\n" % (NAME, query.get("id", ["nobody"])[0]))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer("%s took %s\n" % (NAME, body.decode()))

    def answer(self, text: str):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Served-By", NAME)
        self.end_headers()
        self.wfile.write(text.encode())

    def echo(self):
        key = self.headers.get("Sec-WebSocket-Key", "").encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key + GUID).digest()).decode())
        self.send_header("X-Served-By", NAME)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while (head := self.rfile.read(2)) and len(head) == 2:
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(head[1] & 127)))
            self.wfile.write(bytes([head[0], len(text)]) + text)
            self.wfile.flush()
            if head[0] & 15 == CLOSE:
                return

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
