#!/usr/bin/env python3
"""Golden values for tests/base/test_rng.c, from a second writing of the generator.

Run: python3 tests/golden/make_philox.py
"""
M0, M1, W0, W1, MASK = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = M0 * c[0], M1 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & MASK, (a >> 32) ^ c[3] ^ k[1], a & MASK]
        k = [(k[0] + W0) & MASK, (k[1] + W1) & MASK]
    return c


class Stream:
    def __init__(self, seed, use, low):
        self.key, self.tail = (seed & MASK, seed >> 32), (low, use)
        self.block, self.words = 0, []

    def u32(self):
        if not self.words:
            self.words = philox((self.block & MASK, self.block >> 32) + self.tail, self.key)
            self.block += 1
        return self.words.pop(0)

    def below(self, n):
        product = self.u32() * n
        if product & MASK < n:
            while product & MASK < (1 << 32) % n:
                product = self.u32() * n
        return product >> 32


def permutation(seed, use, low, count):
    stream, index = Stream(seed, use, low), list(range(count))
    for i in range(count, 1, -1):
        j = stream.below(i)
        index[i - 1], index[j] = index[j], index[i - 1]
    return index


if __name__ == "__main__":
    print("u32", [hex(x) for x in (lambda s: [s.u32() for _ in range(6)])(Stream(42, 6, 7))])
    print("permutation(1, SHUFFLE, 3, 16)", permutation(1, 2, 3, 16))
    p = permutation(2026, 2, 0, 60000)
    print("permutation(2026, SHUFFLE, 0, 60000)[0, 1, 59999]", p[0], p[1], p[59999])
    h = 0
    for x in p:
        h = (h * 1000003 + x) & 0xFFFFFFFFFFFFFFFF
    print("hash", hex(h))
