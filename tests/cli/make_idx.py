#!/usr/bin/env python3
"""make_idx.py TRAIN TEST - small data in IDX files: 8x8 images of 4 classes, each a bright
quarter under noise. The files land in the working directory; no dependencies, no randomness."""
import struct
import sys


def images(count, state):
    pixels = bytearray()
    labels = bytearray()
    for i in range(count):
        label = (i * 7 + i // 4) % 4
        labels.append(label)
        for y in range(8):
            for x in range(8):
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                noise = state >> 23  # 0..255
                bright = (y // 4) * 2 + x // 4 == label
                pixels.append((128 + noise // 2) if bright else noise * 3 // 4)
    return pixels, labels


def main():
    for name, count, seed in (("train", int(sys.argv[1]), 1), ("test", int(sys.argv[2]), 2)):
        pixels, labels = images(count, seed)
        with open(f"{name}-images", "wb") as f:
            f.write(struct.pack(">IIII", 0x803, count, 8, 8) + pixels)
        with open(f"{name}-labels", "wb") as f:
            f.write(struct.pack(">II", 0x801, count) + labels)


main()
