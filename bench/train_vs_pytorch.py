#!/usr/bin/env python3
"""Training steps a second, Fournil against PyTorch: same weights, same order of samples, in turn.

    python3 bench/train_vs_pytorch.py [--model mlp|cnn|all] [--threads 1,2] [--repeat 5] [--busy] [--json]

Run with a Python that has torch (Debian: /usr/bin/python3 with python3-torch; or a virtual environment with a current one).
A step is: gather the batch by the shuffled order, forward, backward, update. Both sides are pinned to as many CPUs as threads. PyTorch
is given the better of eager training with its data as float tensors in memory (no DataLoader). Printed: medians of --repeat runs
in turn, ratios, the largest relative difference of the first 100 losses, and the percentage of the floor that
the matrix products alone would allow at the speed bench/kernels/floor measures. --busy adds a process that keeps one CPU busy."""
import argparse
import gzip
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
DATA = os.environ.get("FOURNIL_DATA", os.path.join(ROOT, "..", "shared", "data"))

MODELS = {
    "mlp": {"config": "examples/mnist_mlp.yaml", "batch": 64, "steps": 1500, "floor_gflop": 0.0257},
    "cnn": {"config": "examples/cifar10_cnn.yaml", "batch": 32, "steps": 150, "floor_gflop": 0.698},
}


def driver():
    for folder in ("build/release", "build"):
        path = os.path.join(ROOT, folder, "step_driver")
        if os.path.exists(path):
            return path
    sys.exit("build/release/step_driver is missing: run make first")


def run_driver(config, *args, cpus=None):
    env = dict(os.environ, FOURNIL_DATA=DATA)
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    out = subprocess.run([driver(), os.path.join(ROOT, config), *args], env=env, check=True,
                         stdout=subprocess.PIPE, preexec_fn=pin)
    return out.stdout.decode()


def read_mnist():
    import numpy as np
    def idx(name):
        with gzip.open(os.path.join(DATA, "mnist", name)) as f:
            raw = f.read()
        rank = raw[3]
        dims = struct.unpack(">" + "I" * rank, raw[4:4 + 4 * rank])
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(dims)
    x = idx("train-images-idx3-ubyte.gz").astype("float32")[:, None] / 255
    return (x - 0.5) / 0.5, idx("train-labels-idx1-ubyte.gz").astype("int64")


def read_cifar():
    import numpy as np
    parts = []
    for i in range(1, 6):
        with gzip.open(os.path.join(DATA, "cifar10", f"data_batch_{i}.bin.gz")) as f:
            parts.append(np.frombuffer(f.read(), np.uint8).reshape(-1, 3073))
    rows = np.concatenate(parts)
    x = rows[:, 1:].reshape(-1, 3, 32, 32).astype("float32") / 255
    return x, rows[:, 0].astype("int64")


class Torch:
    """The peer: the same network, eagerly trained."""

    def __init__(self, model, folder, names, channels_last=False):
        import numpy as np
        import torch
        self.torch, self.np = torch, np
        nn = torch.nn
        x, y = read_mnist() if model == "mlp" else read_cifar()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.order = torch.from_numpy(
            np.fromfile(os.path.join(folder, "order.u32"), np.uint32).astype("int64"))
        self.batch = MODELS[model]["batch"]
        if model == "mlp":
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(),
                                     nn.Linear(128, 10))
            self.make_optimizer = lambda p: torch.optim.SGD(p, lr=0.01)
        else:
            self.net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
                                     nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                                     nn.Flatten(), nn.Linear(2304, 64), nn.ReLU(),
                                     nn.Linear(64, 10))
            self.make_optimizer = lambda p: torch.optim.Adam(p, lr=0.001)
        self.channels_last = channels_last and model == "cnn"
        self.files = [np.fromfile(os.path.join(folder, n), np.float32) for n in names]

    def reset(self):
        torch = self.torch
        with torch.no_grad():
            for p, raw in zip(self.net.parameters(), self.files):
                p.copy_(torch.from_numpy(raw).reshape(p.shape))
        if self.channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.optimizer = self.make_optimizer(self.net.parameters())
        self.loss = torch.nn.CrossEntropyLoss()
        self.at = 0

    def step(self):
        torch = self.torch
        if self.at >= len(self.order):
            self.at = 0
        index = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        x = self.x[index]
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad()
        loss = self.loss(self.net(x), self.y[index])
        loss.backward()
        self.optimizer.step()
        return loss

    def time(self, steps, cpus, threads):
        os.sched_setaffinity(0, cpus)
        self.torch.set_num_threads(threads)
        self.reset()
        losses = [float(self.step()) for _ in range(max(100, steps // 10))][:100]
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        return time.perf_counter() - start, losses


def compare(model, threads, repeat, busy):
    spec = MODELS[model]
    cpus = sorted(os.sched_getaffinity(0))
    chosen = set(cpus[-threads:])
    everything = set(cpus)
    result = {"model": model, "threads": threads, "busy": busy}
    hog = None
    with tempfile.TemporaryDirectory() as folder:
        names = run_driver(spec["config"], "--dump", folder).split()
        peers = {"eager": Torch(model, folder, names)}
        if model == "cnn":
            peers["eager channels_last"] = Torch(model, folder, names, channels_last=True)
        if busy:
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"],
                                   preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}))
        try:
            times = {"fournil": [], "fournil bfloat16": []}
            losses = {}
            for _ in range(repeat):
                for label, extra in (("fournil", []),
                                     ("fournil bfloat16", ["--set", "train.precision=bfloat16"])):
                    out = json.loads(run_driver(spec["config"], "--steps", str(spec["steps"]),
                                                "--threads", str(threads), *extra, cpus=chosen))
                    times[label].append(out["seconds"])
                    losses[label] = out["losses"]
                for label, peer in peers.items():
                    steps = max(20, spec["steps"] // 3)
                    seconds, losses[label] = peer.time(steps, chosen, threads)
                    times.setdefault(label, []).append(seconds * spec["steps"] / steps)
        finally:
            if hog:
                hog.kill()
                hog.wait()
            os.sched_setaffinity(0, everything)
    samples = spec["steps"] * spec["batch"]
    result["samples_per_s"] = {k: samples / statistics.median(v) for k, v in times.items()}
    best = max((v, k) for k, v in result["samples_per_s"].items() if k.startswith("eager"))
    result["peer"] = best[1]
    result["ratio"] = result["samples_per_s"]["fournil"] / best[0]
    result["bfloat16_ratio"] = (result["samples_per_s"]["fournil bfloat16"] /
                                result["samples_per_s"]["fournil"])
    a, b = losses["fournil"], losses["eager"]
    result["loss_difference"] = max(abs(x - y) / abs(y) for x, y in zip(a, b))
    result["gflops"] = (spec["floor_gflop"] * result["samples_per_s"]["fournil"] / spec["batch"])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("this Python has no torch: use Debian's python3-torch, or a virtual environment")
    print(f"PyTorch {torch.__version__}", file=sys.stderr)
    models = list(MODELS) if options.model == "all" else [options.model]
    for model in models:
        for threads in (int(t) for t in options.threads.split(",")):
            r = compare(model, threads, options.repeat, options.busy)
            if options.json:
                print(json.dumps(r), flush=True)
                continue
            speeds = ", ".join(f"{k} {v:,.0f}/s" for k, v in r["samples_per_s"].items())
            print(f"{model} {threads} thread(s){' beside a busy process' if r['busy'] else ''}: "
                  f"{r['ratio']:.2f}x {r['peer']} ({speeds}); bfloat16 "
                  f"{r['bfloat16_ratio']:.2f}x float32; {r['gflops']:.1f} GFLOP/s in products; "
                  f"first 100 losses differ by at most {r['loss_difference']:.1e}", flush=True)


if __name__ == "__main__":
    main()
