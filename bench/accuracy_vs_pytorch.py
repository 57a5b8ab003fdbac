#!/usr/bin/env python3
"""Final test accuracy, Fournil against PyTorch, over several seeds: does the same recipe reach the same place?

    python3 bench/accuracy_vs_pytorch.py [--task mnist|fashion|cifar10|all] [--seeds N]
                                         [--side both|fournil|pytorch] [--out FILE] [--threads N] [--json]
    python3 bench/accuracy_vs_pytorch.py --join FILE [FILE...]

Each side initialises and shuffles by its own seeds 1, 2, ... MNIST and Fashion-MNIST: 784-128-10, ReLU, SGD 0.01, batch 64,
10 epochs, normalised 0.5/0.5, both initialised as torch.nn.Linear does; 5 seeds. CIFAR-10 (the 12,000-image subset in
shared/data): the example's CNN, Adam 0.001, batch 32, 10 epochs; 10 seeds. Printed: mean and deviation of each side, the
difference of means with its 95 % interval (Welch), and whether it holds: digits and clothes by means no more than 0.3 points
apart, CIFAR-10 by an interval that holds zero.

PyTorch takes minutes for each seed of the CNN, so the sides may be run apart: --out appends a JSON line for each finished
seed, a later run with the same --out goes on after them, and --join prints the table of such files. The pytorch side needs
a Python with torch (Debian: /usr/bin/python3 with python3-torch)."""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data_sets  # noqa: E402

# Student's t, 97.5 %, for 1, 2, ... degrees of freedom (any statistics table)
T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086]
POINTS = 0.3  # most difference of means, digits and clothes

INIT = "kernel_initializer: pytorch, bias_initializer: pytorch"
MLP = f"""data:
  format: idx
  train: {{images: FOLDER/train-images-idx3-ubyte.gz, labels: FOLDER/train-labels-idx1-ubyte.gz}}
  test: {{images: FOLDER/t10k-images-idx3-ubyte.gz, labels: FOLDER/t10k-labels-idx1-ubyte.gz}}
  normalize: {{mean: 0.5, std: 0.5}}
model:
  - flatten
  - dense: {{units: 128, activation: relu, {INIT}}}
  - dense: {{units: 10, {INIT}}}
train:
  loss: sparse_categorical_crossentropy
  optimizer: {{name: sgd, learning_rate: 0.01}}
  batch: 64
  epochs: 10
"""
CNN = f"""data:
  format: cifar10
  train:
    files: [{", ".join(f"FOLDER/data_batch_{i}.bin.gz" for i in range(1, 6))}]
  test: {{files: [FOLDER/test_batch.bin.gz]}}
model:
  - conv2d: {{filters: 32, kernel_size: 3, activation: relu, {INIT}}}
  - max_pooling2d: {{pool_size: 2}}
  - conv2d: {{filters: 64, kernel_size: 3, activation: relu, {INIT}}}
  - max_pooling2d: {{pool_size: 2}}
  - flatten
  - dense: {{units: 64, activation: relu, {INIT}}}
  - dense: {{units: 10, activation: softmax, {INIT}}}
train:
  loss: sparse_categorical_crossentropy
  optimizer: {{name: adam, learning_rate: 0.001}}
  batch: 32
  epochs: 10
"""
# task: our configuration, PyTorch's model, seeds
TASKS = {"mnist": (MLP, "mlp", 5), "fashion": (MLP, "mlp", 5), "cifar10": (CNN, "cnn", 10)}


def find_program():
    for name in ("build/release/fournil", "build/fournil"):
        path = os.path.join(data_sets.ROOT, name)
        if os.path.exists(path):
            return path
    sys.exit("build/release/fournil is missing: run make first, or name it with --fournil")


class Fournil:
    name = "fournil"

    def __init__(self, task, options):
        self.temp = tempfile.TemporaryDirectory()
        self.program = options.fournil or find_program()
        self.threads = options.threads
        self.version = subprocess.run([self.program, "--version"], stdout=subprocess.PIPE,
                                      check=True).stdout.decode().split()[-1]
        self.config = os.path.join(self.temp.name, "config.yaml")
        with open(self.config, "w") as f:
            f.write(TASKS[task][0].replace("FOLDER", data_sets.folder(task)))

    def accuracy(self, seed):
        out = subprocess.run([self.program, "train", self.config, "--json", "--threads",
                              str(self.threads), "--set", f"train.seed={seed}", "--dir",
                              os.path.join(self.temp.name, f"s{seed}")],
                             stdout=subprocess.PIPE, check=True).stdout.decode()
        return json.loads(out.strip().split("\n")[-1])["test_accuracy"]


class PyTorch:
    name = "pytorch"

    def __init__(self, task, options):
        import pytorch_models
        import torch
        self.torch, self.models = torch, pytorch_models
        self.version, self.model = torch.__version__, TASKS[task][1]
        torch.set_num_threads(options.threads)
        self.data = [torch.from_numpy(a) for a in data_sets.load(task)]

    def accuracy(self, seed):
        torch, (x, y, test_x, test_y) = self.torch, self.data
        torch.manual_seed(seed)
        net = self.models.make_network(self.model)
        optimizer = self.models.make_optimizer(self.model, net.parameters())
        criterion = torch.nn.CrossEntropyLoss()
        batch = self.models.BATCH[self.model]
        for _ in range(10):
            order = torch.randperm(len(x))
            for i in range(0, len(x), batch):
                index = order[i:i + batch]
                optimizer.zero_grad()
                criterion(net(x[index]), y[index]).backward()
                optimizer.step()
        with torch.no_grad():
            hits = sum(int((net(test_x[i:i + 500]).argmax(1) == test_y[i:i + 500]).sum())
                       for i in range(0, len(test_x), 500))
        return hits / len(test_x)


def read_rows(paths):
    rows = []
    for path in paths:
        if os.path.exists(path):
            with open(path) as f:
                rows += [json.loads(line) for line in f if line.strip()]
    return rows


def run_side(side, task, seeds, options, rows):
    """Runs the seeds that are not in rows yet, and adds them."""
    done = {r["seed"] for r in rows if r["side"] == side.name and r["task"] == task}
    runner = None
    for seed in range(1, seeds + 1):
        if seed in done:
            continue
        runner = runner or side(task, options)
        row = {"side": side.name, "version": runner.version, "task": task, "seed": seed,
               "accuracy": runner.accuracy(seed)}
        rows.append(row)
        if options.out:
            with open(options.out, "a") as f:
                f.write(json.dumps(row) + "\n")
        print(f"{side.name} {task} seed {seed}: {100 * row['accuracy']:.2f} %", file=sys.stderr,
              flush=True)


def interval(a, b):
    """Difference of means and half its 95 % interval, by Welch's t."""
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    difference = statistics.mean(a) - statistics.mean(b)
    if va + vb == 0:
        return difference, 0.0
    df = (va + vb) ** 2 / (va ** 2 / (len(a) - 1) + vb ** 2 / (len(b) - 1))
    return difference, T975[min(len(T975), max(1, math.floor(df))) - 1] * math.sqrt(va + vb)


def judge(task, rows):
    """The row of the table, or None while a side has fewer than 2 seeds."""
    sides = {name: [100 * r["accuracy"] for r in rows if r["side"] == name and r["task"] == task]
             for name in ("fournil", "pytorch")}
    a, b = sides["fournil"], sides["pytorch"]
    if min(len(a), len(b)) < 2:
        return None
    difference, half = interval(a, b)
    versions = {r["version"] for r in rows if r["side"] == "pytorch" and r["task"] == task}
    good = abs(difference) <= half if task == "cifar10" else abs(difference) <= POINTS
    return {"task": task, "fournil": a, "pytorch": b, "pytorch_version": "/".join(sorted(versions)),
            "difference_points": difference, "interval_points": half, "pass": good}


def print_table(results):
    print("| task | seeds | Fournil % | PyTorch % | difference, points | 95 % interval | target | |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        a, b, d, half = r["fournil"], r["pytorch"], r["difference_points"], r["interval_points"]
        seeds = str(len(a)) if len(a) == len(b) else f"{len(a)} and {len(b)}"
        target = "interval holds 0" if r["task"] == "cifar10" else f"within {POINTS}"
        print(f"| {r['task']} | {seeds} | {statistics.mean(a):.2f} ± {statistics.stdev(a):.2f} "
              f"| {statistics.mean(b):.2f} ± {statistics.stdev(b):.2f} ({r['pytorch_version']}) "
              f"| {d:+.2f} | {d - half:+.2f} to {d + half:+.2f} | {target} "
              f"| {'PASS' if r['pass'] else 'MISS'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="all", choices=[*TASKS, "all"])
    parser.add_argument("--seeds", type=int, default=0, help="0: 5 for the MLPs, 10 for the CNN")
    parser.add_argument("--side", default="both", choices=["both", "fournil", "pytorch"])
    parser.add_argument("--out", help="file of finished seeds: written, and gone on with")
    parser.add_argument("--join", nargs="+", metavar="FILE", help="only the table of these files")
    parser.add_argument("--threads", type=int, default=1, help="of each side")
    parser.add_argument("--fournil", help="the program")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = read_rows(options.join or ([options.out] if options.out else []))
    sides = {"both": [Fournil, PyTorch], "fournil": [Fournil], "pytorch": [PyTorch]}[options.side]
    tasks = list(TASKS) if options.task == "all" else [options.task]
    for task in [] if options.join else tasks:
        if data_sets.folder(task) is None:
            print(f"{task}: no data, left out", file=sys.stderr)
            continue
        for side in sides:
            run_side(side, task, options.seeds or TASKS[task][2], options, rows)
    results = [r for r in (judge(task, rows) for task in tasks) if r]
    if options.json:
        for r in results:
            print(json.dumps(r))
    elif results:
        print_table(results)
    return 0 if all(r["pass"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
