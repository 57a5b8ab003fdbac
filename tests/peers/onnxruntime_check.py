#!/usr/bin/env python3
"""onnxruntime_check - our ONNX files against ONNX's checker and ONNX Runtime.

    python3 tests/peers/onnxruntime_check.py [--build DIR] [--python PYTHON]

Builds model_peer_tool in DIR (build), lets it write its networks with the outputs of both back ends,
and checks of each file: onnx.checker with full shape inference accepts it, and ONNX Runtime gives the
same outputs within 1e-5. Does the same with the files of PyTorch in tests/golden/onnx, whose outputs
stand beside them. PYTHON needs onnx, onnxruntime and numpy; without it a virtual environment of our
own is made with pip in DIR/venv-onnxruntime. The checker of Debian's python3-onnx is asked too where
it is installed. Exit status: 0 all the same, 1 not.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOLERANCE = 1e-5
PACKAGES = ["onnx", "onnxruntime", "numpy"]


def make_python(build):
    """Interpreter of an environment that has the packages, made when it is not there."""
    home = os.path.join(build, "venv-onnxruntime")
    python = os.path.join(home, "bin", "python")
    probe = [python, "-c", "import onnx, onnxruntime, numpy"]
    if not os.path.exists(python) or subprocess.run(probe, stderr=subprocess.DEVNULL).returncode:
        print("making", home, "with", " ".join(PACKAGES), flush=True)
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def read_values(path, kinds):
    import numpy
    with open(path, "rb") as f:
        rows, inputs, outputs = numpy.frombuffer(f.read(12), "<i4")
        x = numpy.frombuffer(f.read(4 * rows * inputs), "<f4")
        ys = [numpy.frombuffer(f.read(4 * rows * outputs), "<f4") for _ in range(kinds)]
        assert not f.read(), path
    return rows, x, ys


def compare(path, names):
    """True when ONNX Runtime agrees with each list of outputs in the .f32 beside the file."""
    import numpy
    import onnx
    import onnxruntime
    onnx.checker.check_model(onnx.load(path), full_check=True)
    onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True,
                                      data_prop=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows, x, ys = read_values(path[:-len("onnx")] + "f32", len(names))
    entry = session.get_inputs()[0]
    fixed = isinstance(entry.shape[0], int)
    x = x.reshape([rows, *entry.shape[1:]])
    parts = [x[i:i + 1] for i in range(rows)] if fixed else [x]
    got = numpy.concatenate([session.run(None, {entry.name: p})[0] for p in parts]).reshape(-1)
    good = True
    for name, y in zip(names, ys):
        error = float(numpy.max(numpy.abs(got - y)))
        good = good and error <= TOLERANCE
        print(f"{os.path.basename(path):28} {name:8} largest difference {error:.1e} "
              f"{'ok' if error <= TOLERANCE else 'TOO LARGE'}")
    return good


def check(folder):
    results = [compare(p, ["ref", "cpu"]) for p in sorted(glob.glob(os.path.join(folder, "*.onnx")))]
    golden = sorted(glob.glob(os.path.join(ROOT, "tests", "golden", "onnx", "*.onnx")))
    results += [compare(p, ["pytorch"]) for p in golden]
    print(f"{sum(results)} of {len(results)} models the same")
    return 0 if results and all(results) else 1


def check_by_debian(folder):
    """Debian's own, older checker, where it is installed."""
    script = ("import sys\ntry:\n    import onnx\nexcept ImportError:\n    sys.exit(0)\n"
              "for p in sys.argv[1:]:\n    onnx.checker.check_model(onnx.load(p), full_check=True)\n"
              "print('python3-onnx', onnx.__version__, 'accepts', len(sys.argv) - 1, 'models')\n")
    files = sorted(glob.glob(os.path.join(folder, "*.onnx")))
    return subprocess.run(["/usr/bin/python3", "-c", script, *files]).returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--python")
    parser.add_argument("--check", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        return check(options.check)
    python = options.python or make_python(options.build)
    subprocess.run(["cmake", "--build", options.build, "--target", "model_peer_tool"], check=True,
                   stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.path.join(options.build, "model_peer_tool"), folder], check=True)
        old = check_by_debian(folder) if os.path.exists("/usr/bin/python3") else 0
        return subprocess.run([python, os.path.abspath(__file__), "--check", folder]).returncode or old


if __name__ == "__main__":
    sys.exit(main())
