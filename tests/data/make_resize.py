#!/usr/bin/env python3
"""make_resize.py - golden values of tests/data/test_images.c: PyTorch's bilinear resize with
antialias, rounded to bytes.

    python3 tests/data/make_resize.py
"""
import torch
import torch.nn.functional as F


def image(h, w, c):
    y, x, k = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(c), indexing="ij")
    return ((y * 37 + x * 59 + k * 83 + x * y * 11) % 256).float()


for h, w, c, to in ((5, 7, 1, (3, 4)), (3, 3, 3, (5, 4)), (9, 4, 1, (2, 6)), (6, 6, 1, (1, 1))):
    x = image(h, w, c).permute(2, 0, 1)[None]
    y = F.interpolate(x, size=to, mode="bilinear", antialias=True, align_corners=False)
    y = torch.floor(y + 0.5).clamp(0, 255)[0].permute(1, 2, 0).flatten().int().tolist()
    print(f"    {{{h}, {w}, {c}, {to[0]}, {to[1]},\n     {{{', '.join(map(str, y))}}}}},")
