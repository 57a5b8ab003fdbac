"""data_sets - MNIST, Fashion-MNIST and the CIFAR-10 subset as numpy arrays, for the peers' side of the benchmarks.

load(name, folder) gives train images [N, C, H, W] float32, train labels int64, test images, test labels, normalised as
examples/*.yaml do: (x / 255 - 0.5) / 0.5 for digits and clothes, x / 255 for CIFAR-10. Reads .gz files and plain ones.
Only loading needs numpy."""
import gzip
import os
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.environ.get("FOURNIL_SHARED", os.path.join(ROOT, "..", "shared"))
DATA = os.environ.get("FOURNIL_DATA", os.path.join(SHARED, "data"))

FOLDERS = {
    "mnist": [os.path.join(DATA, "mnist")],
    "fashion": [os.path.join(DATA, "fashion-mnist"), "/usr/share/datasets/fashion-mnist",
                "/usr/share/datasets/fashion-mnist-data"],
    "cifar10": [os.path.join(DATA, "cifar10"), os.path.join(DATA, "cifar-10-batches-bin")],
}


def folder(name):
    """Where the set stands, or None."""
    for path in FOLDERS[name]:
        if os.path.isdir(path):
            return os.path.abspath(path)
    return None


def read(path):
    if os.path.exists(path + ".gz"):
        with gzip.open(path + ".gz") as f:
            return f.read()
    with open(path, "rb") as f:
        return f.read()


def read_idx(path):
    import numpy as np
    raw = read(path)
    rank = raw[3]
    dims = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(dims)


def load_idx(path):
    parts = []
    for split in ("train", "t10k"):
        x = read_idx(os.path.join(path, f"{split}-images-idx3-ubyte"))
        y = read_idx(os.path.join(path, f"{split}-labels-idx1-ubyte"))
        parts += [(x.astype("float32")[:, None] / 255 - 0.5) / 0.5, y.astype("int64")]
    return parts


def load_cifar(path):
    import numpy as np
    parts = []
    for names in ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]):
        rows = np.concatenate([np.frombuffer(read(os.path.join(path, name + ".bin")), np.uint8)
                               for name in names]).reshape(-1, 3073)
        parts += [rows[:, 1:].reshape(-1, 3, 32, 32).astype("float32") / 255,
                  rows[:, 0].astype("int64")]
    return parts


def load(name, path=None):
    path = path or folder(name)
    if path is None:
        raise SystemExit(f"no {name} in any of {FOLDERS[name]}: set FOURNIL_DATA")
    return load_cifar(path) if name == "cifar10" else load_idx(path)
