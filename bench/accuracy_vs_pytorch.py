#!/usr/bin/env python3
"""Final test accuracy, Fournil against PyTorch, over several seeds: does the same recipe reach the same place?

    python3 bench/accuracy_vs_pytorch.py [--task mnist|fashion|cifar10|all] [--seeds N] [--json]

Each side initialises and shuffles by its own seeds. MNIST and Fashion-MNIST: 784-128-10, ReLU, SGD 0.01, batch 64, 10 epochs, both
initialised as torch.nn.Linear does. CIFAR-10 (the 12,000-image subset in shared/data): the example's CNN, Adam, 10 epochs. Printed: mean and
deviation of each side, the difference of means, and its 95 % interval (Welch)."""
import argparse
import gzip
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
DATA = os.environ.get("FOURNIL_DATA", os.path.join(ROOT, "..", "shared", "data"))
FASHION = os.environ.get("FOURNIL_FASHION", "/usr/share/datasets/fashion-mnist")

# Student's t, 97.5 %, for 1, 2, ... degrees of freedom (any statistics table)
T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086]

MLP = """data:
  format: idx
  train: {{images: {0}/train-images-idx3-ubyte.gz, labels: {0}/train-labels-idx1-ubyte.gz}}
  test: {{images: {0}/t10k-images-idx3-ubyte.gz, labels: {0}/t10k-labels-idx1-ubyte.gz}}
  normalize: {{mean: 0.5, std: 0.5}}
model:
  - flatten
  - dense: {{units: 128, activation: relu, kernel_initializer: pytorch, bias_initializer: pytorch}}
  - dense: {{units: 10, kernel_initializer: pytorch, bias_initializer: pytorch}}
train:
  loss: sparse_categorical_crossentropy
  optimizer: {{name: sgd, learning_rate: 0.01}}
  batch: 64
  epochs: 10
"""

CNN = """data:
  format: cifar10
  train: {{files: [{0}/data_batch_1.bin.gz, {0}/data_batch_2.bin.gz, {0}/data_batch_3.bin.gz, {0}/data_batch_4.bin.gz, {0}/data_batch_5.bin.gz]}}
  test: {{files: [{0}/test_batch.bin.gz]}}
model:
  - conv2d: {{filters: 32, kernel_size: 3, activation: relu, kernel_initializer: pytorch, bias_initializer: pytorch}}
  - max_pooling2d: {{pool_size: 2}}
  - conv2d: {{filters: 64, kernel_size: 3, activation: relu, kernel_initializer: pytorch, bias_initializer: pytorch}}
  - max_pooling2d: {{pool_size: 2}}
  - flatten
  - dense: {{units: 64, activation: relu, kernel_initializer: pytorch, bias_initializer: pytorch}}
  - dense: {{units: 10, activation: softmax, kernel_initializer: pytorch, bias_initializer: pytorch}}
train:
  loss: sparse_categorical_crossentropy
  optimizer: {{name: adam, learning_rate: 0.001}}
  batch: 32
  epochs: 10
"""

TASKS = {
    "mnist": (MLP, os.path.join(DATA, "mnist"), 5),
    "fashion": (MLP, FASHION, 5),
    "cifar10": (CNN, os.path.join(DATA, "cifar10"), 10),
}


def fournil(config, seed, folder):
    path = os.path.join(folder, "config.yaml")
    with open(path, "w") as f:
        f.write(config)
    out = subprocess.run([os.path.join(ROOT, "build", "fournil"), "train", path, "--json",
                          "--threads", "2", "--set", f"train.seed={seed}", "--dir",
                          os.path.join(folder, f"s{seed}")],
                         stdout=subprocess.PIPE, check=True).stdout.decode()
    return json.loads(out.strip().split("\n")[-1])["test_accuracy"]


def open_idx(path):
    import numpy as np
    opener = gzip.open if os.path.exists(path) else open
    with opener(path if opener is gzip.open else path[:-3], "rb") as f:
        raw = f.read()
    dims = struct.unpack(">" + "I" * raw[3], raw[4:4 + 4 * raw[3]])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def load(task, folder):
    import numpy as np
    import torch
    if task != "cifar10":
        parts = []
        for split in ("train", "t10k"):
            x = open_idx(os.path.join(folder, f"{split}-images-idx3-ubyte.gz"))
            y = open_idx(os.path.join(folder, f"{split}-labels-idx1-ubyte.gz"))
            parts += [torch.from_numpy((x.astype("float32")[:, None] / 255 - 0.5) / 0.5),
                      torch.from_numpy(y.astype("int64"))]
        return parts
    parts = []
    for names in ([f"data_batch_{i}" for i in range(1, 6)], ["test_batch"]):
        rows = []
        for name in names:
            with gzip.open(os.path.join(folder, name + ".bin.gz")) as f:
                rows.append(np.frombuffer(f.read(), np.uint8).reshape(-1, 3073))
        rows = np.concatenate(rows)
        parts += [torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).astype("float32") / 255),
                  torch.from_numpy(rows[:, 0].astype("int64"))]
    return parts


def pytorch(task, data, seed):
    import torch
    nn = torch.nn
    torch.manual_seed(seed)
    x, y, tx, ty = data
    if task == "cifar10":
        net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3),
                            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2304, 64),
                            nn.ReLU(), nn.Linear(64, 10))
        optimizer, batch = torch.optim.Adam(net.parameters(), lr=0.001), 32
    else:
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer, batch = torch.optim.SGD(net.parameters(), lr=0.01), 64
    criterion = nn.CrossEntropyLoss()
    for _ in range(10):
        order = torch.randperm(len(x))
        for i in range(0, len(x), batch):
            index = order[i:i + batch]
            optimizer.zero_grad()
            criterion(net(x[index]), y[index]).backward()
            optimizer.step()
    with torch.no_grad():
        hits = sum(int((net(tx[i:i + 500]).argmax(1) == ty[i:i + 500]).sum())
                   for i in range(0, len(tx), 500))
    return hits / len(tx)


def interval(a, b):
    """Difference of means and half its 95 % interval, by Welch's t."""
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    df = (va + vb) ** 2 / (va ** 2 / (len(a) - 1) + vb ** 2 / (len(b) - 1))
    return (statistics.mean(a) - statistics.mean(b),
            T975[min(len(T975), max(1, math.floor(df))) - 1] * math.sqrt(va + vb))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="all", choices=[*TASKS, "all"])
    parser.add_argument("--seeds", type=int, default=0, help="0: 5 for the MLPs, 10 for the CNN")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("this Python has no torch: use Debian's python3-torch, or a virtual environment")
    for task in TASKS if options.task == "all" else [options.task]:
        template, folder, seeds = TASKS[task]
        seeds = options.seeds or seeds
        data = load(task, folder)
        with tempfile.TemporaryDirectory() as temp:
            ours = [fournil(template.format(folder), s, temp) for s in range(1, seeds + 1)]
        peers = [pytorch(task, data, s) for s in range(1, seeds + 1)]
        difference, half = interval(ours, peers)
        row = {"task": task, "seeds": seeds, "fournil": ours, "pytorch": peers,
               "difference_points": 100 * difference, "interval_points": 100 * half}
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        print(f"{task}, {seeds} seeds: Fournil {100 * statistics.mean(ours):.2f} % "
              f"(deviation {100 * statistics.stdev(ours):.2f}), PyTorch {torch.__version__} "
              f"{100 * statistics.mean(peers):.2f} % ({100 * statistics.stdev(peers):.2f}); difference "
              f"{100 * difference:+.2f} points, 95 % interval {100 * (difference - half):+.2f} to "
              f"{100 * (difference + half):+.2f}", flush=True)


if __name__ == "__main__":
    main()
