#!/usr/bin/env python3
"""The whole command: `fournil train` against an ordinary PyTorch script, from start to saved model.

    python3 bench/whole_command.py [--model mlp|cnn|all] [--repeat 3] [--epochs 10] [--python PATH]... [--build DIR] [--json]

Start, load the data, ten epochs with an evaluation after each, save. Fournil's side is examples/mnist_mlp.yaml and
examples/cifar10_cnn.yaml as they are, threads chosen by itself; the peer's is bench/peer_mnist_torch.py. Both may use every
CPU. Each PyTorch at hand is tried for one epoch with num_workers 0 and 2, with its own choice of threads and with one; the
fastest of all is taken. Then --repeat runs in turn; medians count."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import data_sets  # noqa: E402
from train_vs_pytorch import MODELS, find_built, find_pythons, verdict  # noqa: E402

TARGET = 3.0


def run(command):
    """(seconds, output)"""
    env = dict(os.environ, FOURNIL_DATA=data_sets.DATA)
    start = time.perf_counter()
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout.decode()
    return time.perf_counter() - start, out


def peer_command(python, model, workers, threads, epochs):
    return [python, os.path.join(HERE, "peer_mnist_torch.py"), "--model", model, "--workers",
            str(workers), "--threads", str(threads), "--epochs", str(epochs)]


def best_way(pythons, model):
    """(python, workers, threads) of the fastest single epoch."""
    ways = [(python, workers, threads) for python, _ in pythons for workers in (0, 2)
            for threads in (0, 1)]
    times = {}
    for way in ways:
        times[way] = run(peer_command(way[0], model, *way[1:], 1))[0]
        print(f"trial: {model} {way[0]} workers {way[1]} threads {way[2] or 'own choice'}: "
              f"{times[way]:.1f} s", file=sys.stderr, flush=True)
    return min(ways, key=times.get)


def compare(program, pythons, model, repeat, epochs):
    python, workers, threads = best_way(pythons, model)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(repeat):
            seconds, out = run([program, "train",
                                os.path.join(data_sets.ROOT, MODELS[model]["config"]), "--json",
                                "--epochs", str(epochs), "--dir", os.path.join(folder, str(i))])
            ours.append(seconds)
            accuracy = json.loads(out.strip().split("\n")[-1])["test_accuracy"]
            seconds, out = run(peer_command(python, model, workers, threads, epochs))
            theirs.append(seconds)
    version = subprocess.run([python, "-c", "import torch; print(torch.__version__)"],
                             stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"model": model, "fournil_s": a, "pytorch_s": b, "ratio": b / a, "version": version,
            "workers": workers, "threads": threads, "accuracy": 100 * accuracy,
            "pytorch_accuracy": float(re.findall(r"accuracy ([\d.]+)", out)[-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all", choices=[*MODELS, "all"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--build", help="folder of the program")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    program = find_built(options.build, "fournil")
    if program is None:
        sys.exit("build/release/fournil is missing: run make first, or name the folder by --build")
    pythons = find_pythons(options.python)
    if not pythons:
        sys.exit("no PyTorch: apt install python3-torch, or name a Python that has it by --python")
    results = []
    for model in list(MODELS) if options.model == "all" else [options.model]:
        if data_sets.folder(MODELS[model]["data"]) is None:
            print(f"{model}: no data, left out", file=sys.stderr)
            continue
        if pythons:
            results.append(compare(program, pythons, model, options.repeat, options.epochs))
    if options.json:
        for r in results:
            print(json.dumps(r))
        return
    print("| model | fournil train, s | accuracy | PyTorch script, s | accuracy | ratio | target | |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        threads = f"{r['threads']} thread" if r["threads"] else "own choice of threads"
        print(f"| {r['model']} | {r['fournil_s']:.2f} | {r['accuracy']:.2f} % | "
              f"{r['pytorch_s']:.1f} (PyTorch {r['version']}, {r['workers']} workers, {threads}) | "
              f"{r['pytorch_accuracy']:.2f} % | {r['ratio']:.1f}x | {TARGET}x | "
              f"{verdict(r['ratio'] >= TARGET)} |")


if __name__ == "__main__":
    main()
