#!/usr/bin/env python3
"""Makes the polynomial coefficients of src/engine/backend/cpu/isa/vmath.h.

    python3 tests/golden/make_vmath_polynomials.py

Each is a minimax polynomial found by the Remez exchange (E. Ya. Remez, 1934; see N. N. Trefethen,
"Approximation Theory and Approximation Practice", ch. 10) in 60 digits: the error, weighted so that
it counts relative to the function wanted, is made equal at n + 2 alternating points. Coefficients
are then rounded to float32. Needs python3-mpmath.
"""
import struct

from mpmath import mp, mpf, matrix, lu_solve, cos, pi, exp, log, erf, erfc, tanh, sqrt, fabs, expm1, log1p

mp.dps = 60
GRID = 2000


def to_float32(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def remez(f, weight, a, b, degree):
    """Coefficients of the polynomial p with the least max |weight (f - p)| on [a, b]."""
    n = degree + 1
    point = lambda i, count: (a + b) / 2 - (b - a) / 2 * cos(pi * i / count)
    xs = [point(i + mpf("0.01") * (1 if i < n else 0), n) for i in range(n + 1)]
    grid = [(x, f(x), weight(x)) for x in (point(i, GRID) for i in range(GRID + 1))]
    for _ in range(40):
        m, r = matrix(n + 1, n + 1), matrix(n + 1, 1)
        for i, x in enumerate(xs):
            for k in range(n):
                m[i, k] = x**k
            m[i, n] = (-1) ** i / weight(x)
            r[i] = f(x)
        c = lu_solve(m, r)
        runs = []  # the extremum of each run of equal sign of the error
        for x, y, w in grid:
            e = w * (y - mp.polyval([c[k] for k in reversed(range(n))], x))
            if runs and (runs[-1][1] > 0) == (e > 0):
                if fabs(e) > fabs(runs[-1][1]):
                    runs[-1] = (x, e)
            elif e != 0:
                runs.append((x, e))
        while len(runs) > n + 1:
            runs.pop(0 if fabs(runs[0][1]) < fabs(runs[-1][1]) else -1)
        if len(runs) < n + 1:
            raise ArithmeticError("the exchange lost an alternating point")
        xs = [x for x, _ in runs]
        sizes = [fabs(e) for _, e in runs]
        if max(sizes) - min(sizes) < max(sizes) * mpf("1e-3"):
            break
    return [c[k] for k in range(n)], max(sizes)


def fit(name, f, weight, a, b, degree):
    coefficients, error = remez(f, weight, mpf(a), mpf(b), degree)
    print(f"{name}: weighted error {float(error):.2e} before rounding")
    for v in coefficients:
        print(f"    {float(to_float32(v)):.9e}F,")


tiny = mpf("1e-12")  # keeps 0/0 away; the functions below are even or smooth there

# e^r = 1 + r + r^2 P(r), |r| <= ln 2 / 2
half_ln2 = log(mpf(2)) / 2 + mpf("1e-6")
series = lambda r: sum(r**k / mp.factorial(k + 2) for k in range(30))
fit("exp", series, lambda r: r * r / exp(r), -half_ln2, half_ln2, 4)

# log(1 + f) = f - f^2 / 2 + f^3 P(f), sqrt(1/2) <= 1 + f <= sqrt(2)
log_tail = lambda f: (log1p(f) - f + f * f / 2) / f**3 if fabs(f) > tiny else mpf(1) / 3
fit("log", log_tail, lambda f: fabs(f**3 / log1p(f)) if fabs(f) > tiny else f * f,
    sqrt(mpf("0.5")) - 1 - mpf("1e-6"), sqrt(mpf(2)) - 1 + mpf("1e-6"), 8)

# tanh(x) = x + x^3 P(x^2), |x| <= 0.625; the variable is s = x^2
def tanh_tail(s):
    x = sqrt(s)
    return (tanh(x) - x) / x**3 if s > tiny else -mpf(1) / 3
fit("tanh", tanh_tail, lambda s: s * sqrt(s) / tanh(sqrt(s)) if s > tiny else s, 0, "0.390625", 5)

# erf(x) = x + x P(x^2), |x| <= 0.921875
def erf_ratio(s):
    x = sqrt(s)
    return erf(x) / x - 1 if s > tiny else 2 / sqrt(pi) - 1
fit("erf", erf_ratio, lambda s: sqrt(s) / erf(sqrt(s)) if s > tiny else mpf(1), 0, mpf("0.921875")**2, 6)

# erf(t) = 1 - exp(-t - t P(t)), 0.921875 <= t <= 4
fit("erfc", lambda t: -log(erfc(t)) / t - 1, lambda t: t * erfc(t) / erf(t), "0.921875", 4, 7)
