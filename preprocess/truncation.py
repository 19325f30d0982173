"""Whether a video file ends before the bytes that its container announces: what a download that broke off leaves.

The number of frames in a header does not tell: trimmed files, dropped frames and variable rates give other numbers than
decode. The lengths of the container's own parts do.
"""

from __future__ import annotations

import os
from typing import BinaryIO

_UNKNOWN = {0, 0xFFFFFFFF}
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_HEAD = 1 << 16
# A box of MP4 that is cut without loss of frames.
_IDLE = {b"free", b"skip", b"udta", b"meta"}


def ends_early(path: str) -> bool:
    """True where a part of the file reaches beyond its end.

    That is the RIFF chunk of AVI, a box of MP4, the segment of Matroska, the length in the header of ASF and the last
    page of Ogg. Containers without any length (MPEG, MPEG-TS, FLV, live streams) never end early.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
        if head[:4] == b"RIFF":
            return _riff(stream, size)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes(stream, size)
        if head[:4] == _EBML:
            return _matroska(head, size)
        if head[:16] == _ASF:
            return _asf(head, size)
        if head[:4] == b"OggS":
            return _ogg(stream, size)
    return False


def _riff(stream: BinaryIO, size: int) -> bool:
    """Follow the RIFF chunks: files above 1 GB have several. A recorder that was not stopped leaves no length."""
    at = 0
    while at + 12 <= size:
        stream.seek(at)
        head = stream.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in _UNKNOWN:
            return False
        at += 8 + length + length % 2
    return at > size + 1


def _boxes(stream: BinaryIO, size: int) -> bool:
    at = 0
    while at + 8 <= size:
        stream.seek(at)
        head = stream.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length == 0 or length < 8:
            return False
        at += length
        if at > size:
            return name not in _IDLE
    return False


def _matroska(head: bytes, size: int) -> bool:
    at = head.find(_SEGMENT)
    if at < 0 or at + 12 > len(head):
        return False
    first = head[at + 4]
    width = 9 - first.bit_length()
    length = int.from_bytes(head[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
    is_unknown = length == (1 << 7 * width) - 1
    return not is_unknown and at + 4 + width + length > size


def _asf(head: bytes, size: int) -> bool:
    at = head.find(_ASF_FILE)
    length = int.from_bytes(head[at + 40 : at + 48], "little") if at >= 0 else 0
    return length > size


def _ogg(stream: BinaryIO, size: int) -> bool:
    """True where no page near the end is marked as the last one of its stream."""
    stream.seek(max(0, size - _HEAD))
    tail = stream.read()
    at = tail.find(b"OggS")
    while at >= 0 and at + 6 <= len(tail):
        if tail[at + 5] & 4:
            return False
        at = tail.find(b"OggS", at + 4)
    return True
