#!/usr/bin/env python3
"""Training steps a second, Fournil against PyTorch: same weights, same order of samples, in turn.

    python3 bench/train_vs_pytorch.py [--model mlp|cnn|all] [--threads 1,2] [--repeat 5] [--busy] [--device DEV]
                                      [--python PATH]... [--variant WAY]... [--build DIR] [--no-floor]
                                      [--json]

mlp: examples/mnist_mlp.yaml; cnn: examples/cifar10_cnn.yaml. A step: gather the batch by the shuffled order, forward,
backward, update. Fournil's side is bench/step_driver.c, the peer's bench/pytorch_peer.py, with its data as float tensors in
memory. Both are pinned to as many CPUs as --threads says.

Peers: Debian's python3-torch (/usr/bin/python3) and a current PyTorch in build/venv-pytorch, where they are installed, or
the interpreters named by --python. Of each the fastest way is taken, found by short trials: eager, traced, compiled,
channels last, fused update; with several threads the way that won with the first number of them, on one thread and on each
number up to --threads. Then --repeat rounds in turn; medians count.

Printed in Markdown with the target beside each figure: ratios; our bfloat16 against our float32; our two threads against
our one; the largest relative difference of the first 100 losses, with both sides going their own way from equal weights, and
with each of our steps made from PyTorch's weights (a relu or a maximum that rounding decides otherwise sends two programs
apart for good, PyTorch's float32 from its own float64 too); and how much of the floor we reach: the time that the
matrix products and convolutions of a step take in the fastest library, measured by bench/kernels/floor in the same run.
--busy (2 threads or more): another process keeps one of the CPUs busy in every second round; printed is what is left of
each side's speed."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import data_sets  # noqa: E402
from data_sets import ROOT  # noqa: E402

# steps of a round, of Fournil and of a peer: about a second each
MODELS = {
    "mlp": {"config": "examples/mnist_mlp.yaml", "data": "mnist", "batch": 64, "target": 2.2,
            "steps": 3000, "peer_steps": 1200},
    "cnn": {"config": "examples/cifar10_cnn.yaml", "data": "cifar10", "batch": 32, "target": 3.0,
            "steps": 200, "peer_steps": 50},
}
# the rows of bench/kernels/floor that make up a step
FLOOR = {
    "mlp": ["dense 64x784->128 forward", "dense 64x784->128 weights", "dense 64x128->10 forward",
            "dense 64x128->10 weights", "dense 64x128->10 data"],
    "cnn": ["conv1 32x32x32x3->32 forward", "conv1 32x32x32x3->32 weights",
            "conv2 32x15x15x32->64 forward", "conv2 32x15x15x32->64 weights",
            "conv2 32x15x15x32->64 data", "dense 32x2304->64 forward", "dense 32x2304->64 weights",
            "dense 32x2304->64 data"],
}
GFLOP = {  # of those products
    "mlp": 2 * 64 * (2 * 784 * 128 + 3 * 128 * 10) / 1e9,
    "cnn": 2 * 32 * (2 * 900 * 27 * 32 + 3 * 169 * 288 * 64 + 3 * 2304 * 64) / 1e9,
}
VARIANTS = {  # major version of PyTorch: variants
    1: ["eager", "jit"],
    2: ["eager", "eager+fused", "compile+fused"],
}
ONLY = []  # --variant: these alone
DEVICE = ["cpu"]  # --device: where ours runs; the peer runs on the same GPU, or on the CPU beside OpenCL


def on_accelerator():
    return DEVICE[0] != "cpu"
TRIALS = 3


def find_built(build, name):
    for folder in [build] if build else ["build/release", "build"]:
        path = os.path.join(ROOT, folder, name)
        if os.path.exists(path):
            return path
    return None


class Driver:
    """Our side."""

    def __init__(self, build):
        self.path = find_built(build, "step_driver")
        if self.path is None:
            sys.exit("build/release/step_driver is missing: run make first, or name the folder by --build")

    def run(self, model, cpus, *args):
        env = dict(os.environ, FOURNIL_DATA=data_sets.DATA)
        out = subprocess.run([self.path, os.path.join(ROOT, MODELS[model]["config"]), *args],
                             env=env, check=True, stdout=subprocess.PIPE,
                             preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        return out.stdout.decode()

    def time(self, model, cpus, threads, *sets):
        args = [a for s in [*sets, "train.device=" + DEVICE[0]] for a in ("--set", s)]
        return json.loads(self.run(model, cpus, "--steps", str(MODELS[model]["steps"]), "--threads",
                                   str(threads), *args))

    def follow(self, model, path):
        return json.loads(self.run(model, os.sched_getaffinity(0), "--follow", path, "--set",
                                   "train.device=" + DEVICE[0]))

    def dump(self, model, folder):
        names = self.run(model, os.sched_getaffinity(0), "--dump", folder)
        with open(os.path.join(folder, "names"), "w") as f:
            f.write(names)


class Peer:
    """A PyTorch process; see pytorch_peer.py."""

    def __init__(self, python, model, folder, variant, threads, cpus):
        self.python, self.model, self.variant, self.threads = python, model, variant, threads
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                   FOURNIL_DATA=data_sets.DATA)
        self.process = subprocess.Popen(
            [python, os.path.join(HERE, "pytorch_peer.py"), "--model", model, "--from", folder,
             "--variant", variant, "--threads", str(threads), "--device",
             DEVICE[0] if DEVICE[0].startswith("cuda") else "cpu"],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        line = self.process.stdout.readline()
        if not line:
            self.fault = self.process.stderr.read().decode().strip().split("\n")[-1]
            self.close()
            raise RuntimeError(self.fault)
        self.version = json.loads(line)["version"]
        self.name = f"PyTorch {self.version}"
        self.how = f"{variant}, {threads} thread{'s' if threads > 1 else ''}"

    def ask(self, text):
        self.process.stdin.write((text + "\n").encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().decode())
        return json.loads(line)

    def speed(self, steps):
        return steps * MODELS[self.model]["batch"] / self.ask(f"time {steps}")["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def find_pythons(named):
    """(interpreter, major version) of those that have torch."""
    found = []
    venv = os.path.join(ROOT, "build", "venv-pytorch", "bin", "python")
    for python in named or ["/usr/bin/python3", venv]:
        probe = subprocess.run([python, "-c", "import torch; print(torch.__version__)"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) \
            if os.path.exists(python) else None
        if probe and probe.returncode == 0:
            found.append((python, int(probe.stdout.decode().split(".")[0])))
        elif named:
            sys.exit(f"{python} has no torch")
    return found


def best_peer(python, major, model, folder, threads, cpus, known):
    """The fastest way of this PyTorch, by short trials; its process is left running. known: {(python, model): variant},
    found before at another number of threads."""
    variants = ONLY or VARIANTS[min(max(major, 1), 2)]
    if model == "cnn" and not ONLY:
        variants = variants + [v + "+channels_last" for v in variants]
    if (python, model) in known:
        variants = [known[python, model]]
    best, best_speed = None, 0.0
    for variant in variants:
        for count in range(1, threads + 1):
            try:
                peer = Peer(python, model, folder, variant, count, cpus)
            except RuntimeError as fault:
                print(f"{python} {variant}: left out ({fault})", file=sys.stderr)
                continue
            speed = max(peer.speed(MODELS[model]["peer_steps"] // 3) for _ in range(TRIALS))
            print(f"trial: {model} {peer.name} {peer.how}: {speed:,.0f}/s", file=sys.stderr,
                  flush=True)
            if speed > best_speed:
                best, peer, best_speed = peer, best, speed
            if peer:
                peer.close()
    if best:
        known[python, model] = best.variant
    return best


def difference(ours, theirs):
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))


def compare_losses(driver, model, python, folder, ours):
    """The first 100 losses: each side on its own way, and ours on PyTorch's way, step by step."""
    peer = Peer(python, model, folder, "eager", 1, {max(os.sched_getaffinity(0))})
    path = os.path.join(folder, "record")
    theirs = peer.ask(f"record {path}")["losses"]
    exact = peer.ask("losses float64")["losses"]
    peer.close()
    followed = driver.follow(model, path)
    os.remove(path)
    return {"loss_difference": difference(ours, theirs),
            "loss_difference_float64": difference(theirs, exact),
            "loss_difference_followed": difference(followed["losses"], theirs),
            "update_difference": max(followed["updates"])}


def compare(driver, model, threads, repeat, pythons, known):
    """One model at one number of threads: medians of rounds in turn."""
    usable = sorted(os.sched_getaffinity(0))
    cpus = set(usable if on_accelerator() else usable[-threads:])
    one = set(sorted(cpus)[-1:])
    speeds, result = {}, {"model": model, "threads": threads, "peers": []}
    with tempfile.TemporaryDirectory() as folder:
        driver.dump(model, folder)
        peers = [p for p in (best_peer(python, major, model, folder, threads, cpus, known)
                             for python, major in pythons) if p]
        try:
            for _ in range(repeat):
                sides = [("float32", cpus, threads, [])]
                if not on_accelerator():
                    sides.append(("bfloat16", cpus, threads, ["train.precision=bfloat16"]))
                if threads > 1 and not on_accelerator():
                    sides.append(("one thread", one, 1, []))
                for label, where, count, sets in sides:
                    out = driver.time(model, where, count, *sets)
                    speeds.setdefault(label, []).append(out["samples_per_s"])
                    if label == "float32":
                        result.update(losses=out["losses"], isa=out["isa"],
                                      has_bf16=out["has_bf16"])
                for peer in peers:
                    speeds.setdefault(peer, []).append(peer.speed(MODELS[model]["peer_steps"]))
            medians = {k: statistics.median(v) for k, v in speeds.items()}
            for peer in peers:
                result["peers"].append({
                    "name": peer.name, "how": peer.how, "samples_per_s": medians[peer],
                    "ratio": medians["float32"] / medians[peer]})
                if threads == 1:
                    result["peers"][-1].update(
                        compare_losses(driver, model, peer.python, folder, result["losses"]))
        finally:
            for peer in peers:
                peer.close()
    del result["losses"]
    result["samples_per_s"] = medians["float32"]
    if "bfloat16" in medians:
        result["bfloat16_ratio"] = medians["bfloat16"] / medians["float32"]
    if "one thread" in medians:
        result["thread_ratio"] = medians["float32"] / medians["one thread"]
    return result


def compare_busy(driver, model, threads, repeat, pythons, _):
    """What is left beside a process that keeps one of the CPUs busy: quiet and busy rounds in turn."""
    cpus = set(sorted(os.sched_getaffinity(0))[-threads:])
    speeds, result = {}, {"model": model, "threads": threads, "sides": []}
    with tempfile.TemporaryDirectory() as folder:
        driver.dump(model, folder)
        peers = []
        for python, _ in pythons:
            # as users run it: a thread a CPU
            peers.append(Peer(python, model, folder, "eager", threads, cpus))
        hog = None
        try:
            for _ in range(repeat):
                for busy in (False, True):
                    if busy:
                        hog = subprocess.Popen(
                            [sys.executable, "-c", "while True: pass"],
                            preexec_fn=lambda: os.sched_setaffinity(0, {max(cpus)}))
                    speeds.setdefault(("Fournil", busy), []).append(
                        driver.time(model, cpus, threads)["samples_per_s"])
                    for peer in peers:
                        speeds.setdefault((peer.name, busy), []).append(
                            peer.speed(MODELS[model]["peer_steps"] // 2))
                    if hog:
                        hog.kill()
                        hog.wait()
                        hog = None
        finally:
            if hog:
                hog.kill()
                hog.wait()
            for peer in peers:
                peer.close()
    for name in dict.fromkeys(name for name, _ in speeds):
        quiet, busy = (statistics.median(speeds[name, b]) for b in (False, True))
        result["sides"].append({"name": name, "quiet": quiet, "busy": busy, "left": busy / quiet})
    return result


ROW = re.compile(r"^(.{36}) +([\d.]+) \| +([\d.]+) +([\d.]+) +([\d.]+) ")


def measure_floor(path):
    """{shape: GFLOP/s of the fastest library}, ours: {shape: GFLOP/s}, peak GFLOP/s of a core."""
    cpu = max(os.sched_getaffinity(0))
    out = subprocess.run([path], stdout=subprocess.PIPE, check=True,
                         preexec_fn=lambda: os.sched_setaffinity(0, {cpu})).stdout.decode()
    library, ours = {}, {}
    for line in out.split("\n"):
        row = ROW.match(line)
        if row:
            name = row.group(1).strip()
            ours[name] = float(row.group(3))
            library[name] = max(float(row.group(4)), float(row.group(5)))
    peak = re.search(r"peak of this core.*: ([\d.]+) GF/s", out)
    return library, ours, float(peak.group(1)) if peak else 0.0


def shape_gflop(name):
    """Of one product of FLOOR, from its name."""
    n, rest = re.match(r"\w+ (\d+)x(\S+)", name).groups()
    inputs, units = rest.split("->")
    sizes = [int(s) for s in inputs.split("x")]
    if len(sizes) == 1:
        return 2e-9 * int(n) * sizes[0] * int(units)
    height, width, channels = sizes
    return 2e-9 * int(n) * (height - 2) * (width - 2) * 9 * channels * int(units)


def add_floor(results, path):
    library, ours, peak = measure_floor(path)
    for r in results:
        names = FLOOR[r["model"]]
        if r["threads"] != 1 or not all(n in library for n in names):
            continue
        step_s = MODELS[r["model"]]["batch"] / r["samples_per_s"]
        r["floor"] = {
            "library_s": sum(shape_gflop(n) / library[n] for n in names),
            "kernels_s": sum(shape_gflop(n) / ours[n] for n in names), "step_s": step_s,
            "gflops": GFLOP[r["model"]] / step_s, "peak_gflops": peak}
        r["floor"]["percent"] = 100 * r["floor"]["library_s"] / step_s


def verdict(good):
    return "PASS" if good else "MISS"


def print_speeds(results):
    print("| model | threads | Fournil, samples/s | peer, its best way | peer, samples/s | ratio "
          "| target | |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        for p in r["peers"]:
            target = MODELS[r["model"]]["target"]
            goal = f"{target} | {verdict(p['ratio'] >= target)}" if r["threads"] == 1 else "| "
            print(f"| {r['model']} | {r['threads']} | {r['samples_per_s']:,.0f} | {p['name']} "
                  f"({p['how']}) | {p['samples_per_s']:,.0f} | {p['ratio']:.2f} | {goal} |")


def print_losses(results):
    print("\n| model | peer | first 100 losses, each side on its way | PyTorch's float32 from its "
          "float64 | each step from PyTorch's weights | weights after it | target | |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        for p in r["peers"]:
            if "loss_difference" not in p:
                continue
            free, stepwise = (p[k] < 1e-4 for k in ("loss_difference", "loss_difference_followed"))
            text = "PASS" if free and stepwise else \
                f"{verdict(free)} freely, {verdict(stepwise)} step by step"
            print(f"| {r['model']} | {p['name']} | {p['loss_difference']:.1e} "
                  f"| {p['loss_difference_float64']:.1e} | {p['loss_difference_followed']:.1e} "
                  f"| {p['update_difference']:.1e} | 1e-4 | {text} |")


def print_own(results):
    print("\n| model | threads | figure | value | target | |")
    print("|---|---|---|---|---|---|")
    for r in results:
        rows = []
        if "thread_ratio" in r:
            target = 1.8 if r["threads"] == 2 else 0
            rows.append(("against our one thread", f"{r['thread_ratio']:.2f}x",
                         f"{target}x" if target else "", r["thread_ratio"] >= target))
        why = "" if r["has_bf16"] else f" (emulated: {why_no_bf16(r['isa'])})"
        if "bfloat16_ratio" in r:
            rows.append(("bfloat16 against our float32" + why, f"{r['bfloat16_ratio']:.2f}x", "1.5x",
                         r["bfloat16_ratio"] >= 1.5))
        if "floor" in r:
            f = r["floor"]
            rows.append((f"of the floor: {1e6 * f['library_s']:,.0f} us in the fastest library, "
                         f"{1e6 * f['kernels_s']:,.0f} us in our kernels, a step is "
                         f"{1e6 * f['step_s']:,.0f} us; {f['gflops']:.1f} of "
                         f"{f['peak_gflops']:.1f} GFLOP/s peak", f"{f['percent']:.0f} %", "90 %",
                         f["percent"] >= 90))
        for name, value, target, good in rows:
            print(f"| {r['model']} | {r['threads']} | {name} | {value} | {target} "
                  f"| {verdict(good)} |")


def print_busy(results):
    print("| model | threads | side | alone, samples/s | beside a busy process | left | target | |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        for s in r["sides"]:
            ours = s["name"] == "Fournil"
            print(f"| {r['model']} | {r['threads']} | {s['name']} | {s['quiet']:,.0f} "
                  f"| {s['busy']:,.0f} | {100 * s['left']:.0f} % | {'50 %' if ours else ''} "
                  f"| {verdict(s['left'] >= 0.5) if ours else ''} |")


def why_no_bf16(isa):
    """Why bfloat16 does not multiply in hardware here."""
    try:
        with open("/proc/cpuinfo") as f:
            flags = re.search(r"^flags\s*:(.*)$", f.read(), re.M)
    except OSError:
        flags = None
    if flags and "avx512_bf16" not in flags.group(1).split():
        return "this CPU has no AVX512_BF16"
    return f"the {isa} kernels do not use AVX512_BF16"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all", choices=[*MODELS, "all"])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--variant", action="append", default=[],
                        help="try only this way of the peer, such as eager (PyTorch as it comes)")
    parser.add_argument("--device", default="cpu",
                        help="where Fournil trains: cpu, cuda:N, opencl:N (the peer: the same GPU, or all CPUs)")
    parser.add_argument("--build", help="folder of step_driver and floor")
    parser.add_argument("--no-floor", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ONLY.extend(options.variant)
    DEVICE[0] = options.device
    if on_accelerator():
        options.threads, options.no_floor = str(len(os.sched_getaffinity(0))), True
    driver, pythons = Driver(options.build), find_pythons(options.python)
    if not pythons:
        print("no PyTorch: apt install python3-torch, or name a Python that has it by --python",
              file=sys.stderr)
    cpus = len(os.sched_getaffinity(0))
    results, known = [], {}
    for model in list(MODELS) if options.model == "all" else [options.model]:
        if data_sets.folder(MODELS[model]["data"]) is None:
            print(f"{model}: no data, left out", file=sys.stderr)
            continue
        for threads in (int(t) for t in options.threads.split(",")):
            if threads > cpus or (options.busy and threads < 2):
                continue
            run = compare_busy if options.busy else compare
            results.append(run(driver, model, threads, options.repeat, pythons, known))
    floor = None if options.no_floor or options.busy else find_built(options.build, "floor")
    if floor:
        add_floor(results, floor)
    if options.json:
        for r in results:
            print(json.dumps(r))
    elif options.busy:
        print_busy(results)
    else:
        if on_accelerator():
            print(f"Fournil on {DEVICE[0]}.\n")
        print_speeds(results)
        if not on_accelerator():
            print_losses(results)
            print_own(results)


if __name__ == "__main__":
    main()
