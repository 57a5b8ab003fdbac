#!/usr/bin/env python3
"""make_npy.py - the files of tests/data/npy, as NumPy itself writes them.

    python3 tests/data/make_npy.py

x_TYPE.npy: [2, 3] with the values 0 1 2 / 3 4 5 (bool: the same != 0).
"""
import pathlib

import numpy as np
from numpy.lib import format as npy

out = pathlib.Path(__file__).parent / "npy"
out.mkdir(exist_ok=True)
x = np.arange(6).reshape(2, 3)
for name in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "b1"):
    np.save(out / f"x_{name}.npy", x.astype(name))
for name in (">i2", ">f4", ">f8", ">i8"):
    np.save(out / f"x_big_{name[1:]}.npy", x.astype(name))
np.save(out / "x_fortran.npy", np.asfortranarray(x.astype("f4")))
np.save(out / "images_last.npy", np.arange(2 * 2 * 2 * 3, dtype="u1").reshape(2, 2, 2, 3))
np.save(out / "images_first.npy",
        np.ascontiguousarray(np.arange(24, dtype="u1").reshape(2, 2, 2, 3).transpose(0, 3, 1, 2)))
np.save(out / "images_first_fortran.npy",
        np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 2, 2, 3).transpose(0, 3, 1, 2)))
np.save(out / "y.npy", np.array([1, 0]))
np.save(out / "y_float.npy", np.array([1.5, -2.0]))
np.save(out / "y_two.npy", np.array([[1.5, 2.5], [-2.0, 0.25]], dtype="f4"))
onehot = np.array([[0, 0, 1, 0], [1, 0, 0, 0]])
np.save(out / "y_onehot.npy", onehot.astype("f4"))
np.save(out / "y_onehot_fortran.npy", np.asfortranarray(onehot.astype("u1")))
np.save(out / "y_several.npy", np.array([[0, 1, 0], [1, 0, 1]], dtype="u1"))
np.save(out / "y_negative.npy", np.array([1, -1]))
np.save(out / "x_nan.npy", np.array([[0, 1, 2], [3, np.nan, 5]], dtype="f4"))
np.save(out / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
np.save(out / "structured.npy", np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))
for version in ((2, 0), (3, 0)):
    with open(out / f"version_{version[0]}.npy", "wb") as f:
        npy.write_array(f, x.astype("f4"), version=version)
np.savez(out / "stored.npz", x=x.astype("f4"), y=np.array([1, 0]))
np.savez_compressed(out / "deflated.npz", x=x.astype("f4"), labels=np.array([0, 1]), z=np.zeros(9))
