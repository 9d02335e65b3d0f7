"""HighwayHash, by which array_record files check themselves: whoever damages one behind its hashes makes them anew.

Source: Alakuijala, Cox and Wassenberg, "Fast keyed hash/pseudo-random function using SIMD multiply and permute",
arXiv:1612.06257, 2016; with the key of Riegeli, whose records these are.
"""

import struct

_MASK = 2**64 - 1
_MUL0 = 0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3
_MUL1 = 0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377
_KEY = struct.unpack("<4Q", b"Riegeli/records\nRiegeli/records\n")


def highway_hash(data: bytes) -> int:
    """The 64 bits for some bytes."""
    state = _State()
    whole = len(data) // 32 * 32
    for at in range(0, whole, 32):
        state.update(data[at : at + 32])
    if rest := data[whole:]:
        state.v0 = [(v + (len(rest) << 32) + len(rest)) & _MASK for v in state.v0]
        state.v1 = [_rotated_halves(v, len(rest)) for v in state.v1]
        state.update(_padded(rest))
    for _ in range(4):
        v0 = state.v0
        swapped = [(v0[i] >> 32 | v0[i] << 32) & _MASK for i in (2, 3, 0, 1)]
        state.update(struct.pack("<4Q", *swapped))
    return (state.v0[0] + state.v1[0] + state.mul0[0] + state.mul1[0]) & _MASK


class _State:
    """Four vectors of four lanes."""

    def __init__(self):
        self.mul0: list[int] = [*_MUL0]
        self.mul1: list[int] = [*_MUL1]
        self.v0 = [m ^ k for m, k in zip(_MUL0, _KEY, strict=True)]
        self.v1 = [m ^ ((k >> 32 | k << 32) & _MASK) for m, k in zip(_MUL1, _KEY, strict=True)]

    def update(self, packet: bytes) -> None:
        """Take in 32 bytes."""
        for i, lane in enumerate(struct.unpack("<4Q", packet)):
            self.v1[i] = (self.v1[i] + self.mul0[i] + lane) & _MASK
            self.mul0[i] ^= (self.v1[i] & 0xFFFFFFFF) * (self.v0[i] >> 32)
            self.v0[i] = (self.v0[i] + self.mul1[i]) & _MASK
            self.mul1[i] ^= (self.v0[i] & 0xFFFFFFFF) * (self.v1[i] >> 32)
        for source, target in ((self.v1, self.v0), (self.v0, self.v1)):
            for i in (0, 2):
                low, high = _zipped(source[i + 1], source[i])
                target[i], target[i + 1] = (target[i] + low) & _MASK, (target[i + 1] + high) & _MASK


def _zipped(v1: int, v0: int) -> tuple[int, int]:
    low = ((v0 & 0xFF000000) | (v1 & 0xFF00000000)) >> 24
    low |= ((v0 & 0xFF0000000000) | (v1 & 0xFF000000000000)) >> 16
    low |= (v0 & 0xFF0000) | ((v0 & 0xFF00) << 32) | ((v1 & 0xFF00000000000000) >> 8) | ((v0 << 56) & _MASK)
    high = (((v1 & 0xFF000000) | (v0 & 0xFF00000000)) >> 24) | (v1 & 0xFF0000) | ((v1 & 0xFF0000000000) >> 16)
    high |= ((v1 & 0xFF00) << 24) | ((v0 & 0xFF000000000000) >> 8) | ((v1 & 0xFF) << 48) | (v0 & 0xFF00000000000000)
    return low, high


def _rotated_halves(value: int, count: int) -> int:
    halves = value & 0xFFFFFFFF, value >> 32
    low, high = ((half << count | half >> (32 - count)) & 0xFFFFFFFF for half in halves)
    return high << 32 | low


def _padded(rest: bytes) -> bytes:
    four = len(rest) & ~3
    packet = bytearray(rest[:four].ljust(32, b"\0"))
    tail = rest[four:]
    if len(rest) & 16:
        packet[28:32] = rest[len(rest) - 4 :]
    elif tail:
        packet[16:19] = bytes([tail[0], tail[len(tail) >> 1], tail[-1]])
    return bytes(packet)
