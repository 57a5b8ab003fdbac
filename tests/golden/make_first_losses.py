#!/usr/bin/env python3
"""make_first_losses - the first 100 losses of the MNIST and CIFAR-10 examples, as PyTorch has them from our initial weights
and our order of samples.

    /usr/bin/python3 tests/golden/make_first_losses.py BUILD_DIR > tests/golden/first_losses.txt
    python3 tests/golden/make_first_losses.py BUILD_DIR --compare [--threads N]     (needs no PyTorch)
    PYTHON tests/golden/make_first_losses.py BUILD_DIR --follow                     (needs PyTorch)

Made with PyTorch 1.13 (Debian 12) on one thread; needs the real data (FOURNIL_DATA, or ../shared/data) and
BUILD_DIR/step_driver. For each network a line "net NAME CHECKSUM" (CRC-32 of weights and order: other weights need another
file), "float32 LOSSES..." and "float64 LOSSES...".

--compare runs step_driver from the same weights. Each loss has to be within 1e-4, relatively, of PyTorch's float32; in "cnn"
as long as PyTorch agrees with itself, that is, its float32 has been within 1e-5 of its float64 up to there: rounding soon
decides a relu or a maximum otherwise, which nothing can undo (PyTorch's float32 goes 4e-2 away from its own float64 within
the 100 steps). There the rest has to stay within 0.1.

--follow makes each of the 100 steps from the weights that a PyTorch at hand has before it: every loss within 1e-4, and the
weights after the step within 1e-2 of the step's length."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import data_sets  # noqa: E402

CONFIGS = {"mlp": os.environ.get("FOURNIL_MLP", "examples/mnist_mlp.yaml"), "cnn": "examples/cifar10_cnn.yaml",
           "smooth": "tests/golden/first_losses_smooth.yaml"}
GOLDEN = os.path.join(ROOT, "tests", "golden", "first_losses.txt")
TOLERANCE = 1e-4
AGREEMENT = 1e-5  # of PyTorch's float32 with its float64
DRIFT = 0.1       # allowed once they have parted
UPDATE = 1e-2     # |ours - theirs| / |their step|
LOSSES = 100
STEPS = 91  # and a tenth before, to warm up


def drive(build, name, *args):
    env = dict(os.environ, FOURNIL_DATA=data_sets.DATA)
    return subprocess.run([os.path.join(build, "step_driver"), os.path.join(ROOT, CONFIGS[name]),
                           *args], env=env, check=True, stdout=subprocess.PIPE).stdout.decode()


def dump(build, name, folder):
    """Writes weights, order and names; returns the checksum of the first two."""
    names = drive(build, name, "--dump", folder)
    with open(os.path.join(folder, "names"), "w") as f:
        f.write(names)
    crc = 0
    for file in names.split() + ["order.u32"]:
        with open(os.path.join(folder, file), "rb") as f:
            crc = zlib.crc32(f.read(), crc)
    return f"{crc:08x}"


def ask_pytorch(name, folder, *questions):
    """Answers of bench/pytorch_peer.py under this Python."""
    peer = os.path.join(ROOT, "bench", "pytorch_peer.py")
    out = subprocess.run([sys.executable, peer, "--model", name, "--from", folder],
                         input="".join(q + "\n" for q in questions).encode(), check=True,
                         stdout=subprocess.PIPE,
                         env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"))
    return [json.loads(line) for line in out.stdout.decode().strip().split("\n")]


def make(build):
    for i, name in enumerate(CONFIGS):
        with tempfile.TemporaryDirectory() as folder:
            checksum = dump(build, name, folder)
            answers = ask_pytorch(name, folder, "losses", "losses float64")
        if i == 0:
            print("# made by tests/golden/make_first_losses.py with PyTorch", answers[0]["version"])
        print("net", name, checksum)
        for kind, answer in zip(("float32", "float64"), answers[1:]):
            print(kind, " ".join(f"{v:.8g}" for v in answer["losses"]))


def read_golden():
    golden, name = {}, None
    with open(GOLDEN) as f:
        for line in f:
            words = line.split()
            if words[0] == "net":
                name = words[1]
                golden[name] = {"checksum": words[2]}
            elif words[0] in ("float32", "float64"):
                golden[name][words[0]] = [float(v) for v in words[1:]]
    return golden


def compare(build, threads):
    good = True
    for name, expected in read_golden().items():
        with tempfile.TemporaryDirectory() as folder:
            checksum = dump(build, name, folder)
        if checksum != expected["checksum"]:
            print(f"{name}: initial weights or order are not those of the golden file "
                  f"({checksum}, not {expected['checksum']}): make it anew")
            good = False
            continue
        out = json.loads(drive(build, name, "--steps", str(STEPS), "--threads", str(threads)))
        errors = differences(out["losses"], expected["float32"])
        own = differences(expected["float32"], expected["float64"])
        agreed = next((i for i, e in enumerate(own) if e > AGREEMENT and name == "cnn"), LOSSES)
        print(f"{name}, {out['isa']}, {threads} threads: {max(errors[:agreed]):.1e} over the first "
              f"{agreed} steps, {max(errors):.1e} over all (PyTorch's float32 from its float64: "
              f"{max(own):.1e})")
        good = good and max(errors[:agreed]) <= TOLERANCE and max(errors) <= DRIFT
    return 0 if good else 1


def differences(a, b):
    assert len(a) == len(b) == LOSSES
    return [abs(x / y - 1) for x, y in zip(a, b)]


def follow(build):
    good = True
    for name in CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            dump(build, name, folder)
            path = os.path.join(folder, "record")
            ready, theirs = ask_pytorch(name, folder, "record " + path)
            ours = json.loads(drive(build, name, "--follow", path))
        loss = max(differences(ours["losses"], theirs["losses"]))
        update = max(ours["updates"])
        near = loss <= TOLERANCE and len(ours["updates"]) == LOSSES and update <= UPDATE
        print(f"{name}: 100 steps from the weights of PyTorch {ready['version']}: losses within "
              f"{loss:.1e}, updates within {update:.1e}{'' if near else ': TOO FAR'}")
        good = good and near
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="folder of step_driver")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--follow", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.compare:
        return compare(options.build, options.threads)
    if options.follow:
        return follow(options.build)
    make(options.build)
    return 0


if __name__ == "__main__":
    sys.exit(main())
