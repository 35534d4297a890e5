"""Writes seeds for the fuzz targets into fuzz/corpus. Python's standard library only.

    python3 seeds.py
"""

import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, palette=b"", interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    extra = chunk(b"PLTE", palette) if palette else b""
    parts = [chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def npy(descr, fortran, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(seeds):
        (folder / f"seed{index}").write_bytes(seed)


def masks():
    for filter in range(5):
        yield png(11, 4, 8, 2, (bytes([filter]) + bytes([1, 0, 0] * 5 + [0] * 18)) * 4)
    yield png(11, 4, 8, 0, (b"\x02" + bytes(range(11))) * 4)
    yield png(5, 4, 16, 0, (b"\x04" + bytes(range(10))) * 4)
    yield png(11, 4, 8, 3, (b"\x00" + bytes(range(11))) * 4, bytes(36))
    yield png(11, 4, 2, 3, (b"\x00\x1b\x1b\x10") * 4, bytes(12))
    yield png(2, 2, 8, 2, bytes([0, 5, 1, 0, 0, 6, 0, 0, 0, 7, 0, 0, 8, 0, 0]), interlaced=1)


write("mask_decode", masks())
write("match_json", [b'{"1": 3, "2": 1, "3": 2, "0": 0}', b'{"1": 65535}', b'{"0": 0, "1": 1}'])
write("npy", [
    npy("<f2", False, (2, 3), bytes(12)),
    npy("<f4", True, (2, 3), bytes(24)),
    npy(">f8", False, (1, 2), bytes(16)),
])
write("evaluator", [bytes(range(200)), bytes(64)])
