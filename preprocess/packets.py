"""Whether every packet of a stream is one frame, told from the packets alone: where that is proven none is decoded.

It is false more often than not: packets that an edit list discards, frames that are never shown (VP8, VP9, AV1), open
starts whose first frames refer to what is gone, two frames in a packet and none in the next (DivX), fields in packets
of their own, placeholders of dropped frames. So each rule here asks for more than is usually needed, and where it does
not hold the frames are counted by decoding.
"""

from __future__ import annotations

from typing import Any, Iterator

# Every frame of these is by itself, in a packet of its own.
_INTRA = {"ffv1", "mjpeg", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "png", "prores", "dnxhd", "v210"}
_VOP = b"\x00\x00\x01\xb6"
# A VOP that is not coded has fewer bytes behind its start code (ISO 14496-2, 6.2.5), padded ones included.
_LEAST_VOP = 16
_B_VOP = 2
_SLICES, _IDR, _SPS = {1, 2, 5}, 5, 7


class PacketRule:
    """Looks at the packets of one stream in their order; ``holds`` stays true while each of them is one frame."""

    def __init__(self, stream: Any) -> None:
        codec = stream.codec_context
        self._name = codec.name
        self._extra = bytes(codec.extradata or b"")
        self._seen = 0
        self._references = 0
        self.holds = self._name in _INTRA or self._name == "mpeg4"
        if self._name == "h264":
            self.holds = _is_plain_h264(self._extra)

    def look(self, packet: Any) -> None:
        """Look at the next packet that is not empty."""
        if self.holds:
            first = not self._seen
            self.holds = not packet.is_discard and not packet.is_corrupt and (packet.is_keyframe or not first)
            if self.holds and self._name not in _INTRA:
                data = bytes(packet)
                self.holds = self._is_vop(data) if self._name == "mpeg4" else self._is_picture(data, first)
        self._seen += 1

    def _is_vop(self, data: bytes) -> bool:
        """True for one MPEG-4 picture that is coded, and whose references are there."""
        at = data.find(_VOP)
        if at < 0 or len(data) - at < len(_VOP) + _LEAST_VOP or data.find(_VOP, at + 1) >= 0:
            return False
        is_b = data[at + len(_VOP)] >> 6 == _B_VOP
        self._references += not is_b
        return not is_b or self._references > 1

    def _is_picture(self, data: bytes, first: bool) -> bool:
        """True for one H.264 picture under the parameters of the stream; the first one starts anew."""
        begun = 0
        for unit in units(data, (self._extra[4] & 3) + 1):
            kind = unit[0] & 31
            if kind == _SPS and unit not in self._extra:
                return False
            if kind in _SLICES:
                if first and kind != _IDR:
                    return False
                # first_mb_in_slice is 0: one bit, set.
                begun += len(unit) > 1 and unit[1] >> 7
        return begun == 1


def units(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the NAL units of a packet, each behind its length of ``size`` bytes (ISO 14496-15); a part is no unit."""
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        at += size
        if not 0 < length <= len(data) - at:
            return
        yield data[at : at + length]
        at += length


def _is_plain_h264(extra: bytes) -> bool:
    """True where the parameters of a stream (avcC) allow no fields and no gaps, and tell how far frames move."""
    if len(extra) < 9 or extra[0] != 1 or extra[5] & 31 != 1:
        return False
    length = int.from_bytes(extra[6:8], "big")
    try:
        return _sequence_is_plain(_Bits(extra[8 : 8 + length].replace(b"\x00\x00\x03", b"\x00\x00")))
    except (IndexError, ValueError):
        return False


def _sequence_is_plain(bits: _Bits) -> bool:
    """Read a sequence parameter set as ITU-T H.264, 7.3.2.1.1, orders it; what is unusual in it is not plain."""
    bits.skip(8)
    profile = bits.read(8)
    bits.skip(16)
    bits.golomb()
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        if bits.golomb() == 3:
            bits.skip(1)
        bits.golomb(), bits.golomb()
        bits.skip(1)
        if bits.read(1):  # scaling matrices
            return False
    bits.golomb()
    order = bits.golomb()
    if order == 1:
        return False
    if order == 0:
        bits.golomb()
    bits.golomb()
    if bits.read(1):  # gaps in the numbers of frames
        return False
    bits.golomb(), bits.golomb()
    if not bits.read(1):  # fields
        return False
    bits.skip(1)
    if bits.read(1):  # cropping
        for _ in range(4):
            bits.golomb()
    return order == 2 or (bool(bits.read(1)) and _tells_reordering(bits))


def _tells_reordering(bits: _Bits) -> bool:
    """Read the usability information (E.1.1) as far as ``bitstream_restriction_flag``."""
    if bits.read(1) and bits.read(8) == 255:
        bits.skip(32)
    if bits.read(1):
        bits.skip(1)
    if bits.read(1):
        bits.skip(4)
        if bits.read(1):
            bits.skip(24)
    if bits.read(1):
        bits.golomb(), bits.golomb()
    if bits.read(1):
        bits.skip(65)
    if bits.read(1) or bits.read(1):  # parameters of a reference decoder
        return False
    bits.skip(1)
    return bool(bits.read(1))


class _Bits:
    """Bits of a byte string, from the first on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """Return the next ``count`` bits as a number.

        Raises:
            ValueError: there are not that many.
        """
        self.skip(count)
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        """Pass over ``count`` bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("no bits left")

    def golomb(self) -> int:
        """Return the next number in exponential Golomb code (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)
