"""Writes seeds for the fuzz targets into fuzz/corpus. Python's standard library only.

    python3 seeds.py
"""

import json
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


def tiff(width, height, bits, data, order="<"):
    """One strip of grey without compression."""
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height),
               (279, len(data))]
    body = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in entries)
    data += bytes(len(data) % 2)
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(data))
    return start + data + struct.pack(order + "H", len(entries)) + body + bytes(4)


def other_masks():
    yield b"\0" + tiff(4, 3, 8, bytes(range(12)))
    yield b"\0" + tiff(4, 3, 16, bytes(range(24)), ">")
    yield b"\1" + tiff(4, 1, 8, b"\0\xff\1\7")
    for kind, size in [("|b1", 1), ("|u1", 1), ("<i2", 2), (">u4", 4), ("<i8", 8)]:
        yield b"\0" + npy(kind, size == 2, (2, 3), bytes(6 * size))
    yield b"\1" + png(9, 2, 1, 0, b"\0\x55\x80" * 2)
    yield b"\1" + png(3, 1, 8, 2, b"\0" + b"\xff" * 3 + bytes(6))
    yield b"\2" + png(2, 1, 8, 2, b"\0\x80\0\0\0\x80\0")
    yield b"\2" + png(1, 1, 8, 6, b"\0\xe0\xe0\xc0\xff")
    yield b"\3" + png(4, 1, 2, 3, b"\0\x1b", bytes([128, 64, 128]) * 4)


RLE = {"size": [5, 7], "counts": "4162LNO012004"}
PLAIN = {"size": [2, 3], "counts": [1, 2, 3]}
POLYGON = [[1.0, 1.0, 8.0, 2.0, 4.5, 7.5]]


def annotations():
    yield b"\0background:0,0,0::\ncat:128,0,0::\nignored:224,224,192::\n"
    yield b'\1prediction,truth\n"a b.png",c.png\n# x\nd.png\te.png\n'
    results = [{"image_id": 1, "category_id": 2, "segmentation": of, "score": 0.5} for of in (RLE, RLE)]
    image = {"id": 1, "file_name": "a.jpg", "width": 11, "height": 9}
    region = {"image_id": 1, "category_id": 3, "segmentation": POLYGON}
    yield b"\3" + json.dumps(results).encode()
    yield b"\2" + json.dumps([{"file_name": "/a/b.jpg", "category_id": 1, "segmentation": PLAIN}]).encode()
    yield b"\3" + json.dumps({"images": [image], "annotations": [region, region]}).encode()
    segments = [{"id": 7, "category_id": 1}]
    yield b"\2" + json.dumps({"annotations": [{"file_name": "a.png", "segments_info": segments}]}).encode()


def states():
    counts = {"cells": [[0, 0, 5, 1, 1, 1], [1, 1, 4, 2, 2, 1]], "hidden": [2]}
    protocol = {"classes": 2}
    pictures = {"clusters": 2, "classes": 2, "ignore": 1000, "images": 1, "counts": [[1, 1, 1]]}
    bins = [0] * 40 + [4] + [0] * 41
    yield b"\0" + json.dumps(counts).encode()
    for rule in ["image", "many-to-one"]:
        matched = {"protocol": protocol, "rule": rule, "clusters": 2, "images": [counts] * 2}
        yield b"\1" + json.dumps(matched).encode()
    yield b"\3" + json.dumps({"protocol": protocol, "pictures": pictures, "pixels": [[0, 0, 5], [1, 1, 4]]}).encode()
    images_with = [[1, 1, [n // 4 for n in bins]]]
    curve = {"protocol": protocol, "images": 1, "truth": [5, 4, 0], "pixels": [[1, 1, bins]], "images_with": images_with}
    yield b"\4" + json.dumps(curve).encode()
    yield b"\5" + json.dumps({"classes": 2, "pixels": [[0, 0, 5], [1, 1, 4]]}).encode()


write("mask_decode", masks())
write("states", states())
write("masks", other_masks())
write("annotations", annotations())
write("match_json", [b'{"1": 3, "2": 1, "3": 2, "0": 0}', b'{"1": 65535}', b'{"0": 0, "1": 1}'])
write("npy", [
    npy("<f2", False, (2, 3), bytes(12)),
    npy("<f4", True, (2, 3), bytes(24)),
    npy(">f8", False, (1, 2), bytes(16)),
])
write("evaluator", [bytes(range(200)), bytes(64)])
