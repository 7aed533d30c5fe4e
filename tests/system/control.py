"""Speaks with the control socket of a site as the member does (src/program/control.h).

    ask(site, "take-site", version=2, frames=text)["ok"]
"""

import json
import socket
import struct
from pathlib import Path

SECONDS = 60.0  # of one answer on a loaded machine
FRAME = 256 << 10


class Question:
    """One command; its lines and frames come as they are asked for."""

    def __init__(self, site, command: str, frames: bytes | None = None, **members):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(str(control_socket(site)))
        self.socket.sendall(json.dumps({"command": command, **members}).encode() + b"\n")
        self.stream = self.socket.makefile("rb")
        self.progress: list[dict] = []
        if frames is not None:
            self.send_frames(frames)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send_frames(self, content: bytes, ends: bool = True):
        for at in range(0, len(content), FRAME):
            part = content[at : at + FRAME]
            self.socket.sendall(struct.pack(">I", len(part)) + part)
        if ends:
            self.socket.sendall(struct.pack(">I", 0))

    def line(self) -> dict:
        """The next line that is not about progress."""
        while True:
            line = self.stream.readline()
            assert line, "the controller closed without an answer"
            said = json.loads(line)
            if "progress" not in said:
                return said
            self.progress.append(said)

    def read_frames(self) -> bytes:
        content = b""
        while True:
            length = self.stream.read(4)
            assert len(length) == 4, "the frames were cut off"
            (size,) = struct.unpack(">I", length)
            if size == 0:
                return content
            content += self.stream.read(size)


def control_socket(site) -> Path:
    return site.folder / "terrace/run/control.sock"


def ask(site, command: str, frames: bytes | None = None, **members) -> dict:
    """The answer. `frames` follow the request at once."""
    with Question(site, command, frames, **members) as question:
        return question.line()


def send_release(site, command: str, archive: bytes, **members) -> dict:
    """For what says "ready" before it takes an archive."""
    with Question(site, command, **members) as question:
        said = question.line()
        if not said.get("ready"):
            return said
        question.send_frames(archive)
        return question.line()


def fetch(site, command: str, **members) -> bytes:
    """What it sends in frames, once that is whole."""
    with Question(site, command, **members) as question:
        said = question.line()
        assert said.get("ready"), said
        content = question.read_frames()
        assert question.line()["ok"]
        return content
