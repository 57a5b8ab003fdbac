#!/usr/bin/env python3
"""make_train_golden - training of two small networks, as PyTorch does it: weights, batches, losses.

    /usr/bin/python3 tests/golden/make_train_golden.py > tests/golden/train_golden.txt

Made with PyTorch 1.13 (Debian 12), in float64. Running variances of BatchNormalization are the biased
ones, as in ONNX. tests/engine/test_autodiff_models.c builds the same networks and reads this file:
"net NAME", its "param NAME SHAPE VALUES...", its "batch VALUES..." and "labels VALUES..." (used in
turn), and for each "run NAME key=value..." the "losses" of its steps, the "eval" loss of batch 0
with running statistics afterwards, and the "final" parameters.
"""
import math

import torch
import torch.nn.functional as F

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
STEPS = 20
MOMENTUM, EPSILON = 0.9, 1e-5  # of BatchNormalization, as ONNX counts


def text(t, digits=9):
    return " ".join(f"{v:.{digits}g}" for v in t.detach().reshape(-1).tolist())


def rounded(t, digits):
    """Decimals that both sides read as the same float32."""
    return (t * 10 ** digits).round().div(10 ** digits).float().double()


def weights(*shape):
    fan = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
    return rounded(torch.randn(shape) * fan ** -0.5, 3)


def mlp_params():
    return {"w0": weights(16, 20), "b0": weights(16), "w1": weights(16, 5), "b1": weights(5)}


def mlp(p, x, training):
    return F.relu(x @ p["w0"].T + p["b0"]) @ p["w1"] + p["b1"]


def cnn_params():
    return {"c0": weights(4, 2, 3, 3),
            "gamma": rounded(torch.rand(4) + 0.5, 3), "beta": weights(4),
            "mean": torch.zeros(4), "var": torch.ones(4),
            "c1": weights(4, 4, 3, 3), "c1b": weights(4), "w0": weights(16, 8), "b0": weights(8),
            "scale": rounded(torch.rand(8) + 0.5, 3), "shift": weights(8),
            "w1": weights(8, 5), "b1": weights(5)}


def batch_norm(p, x, training):
    if not training:
        return F.batch_norm(x, p["mean"], p["var"], p["gamma"], p["beta"], False, 0.0, EPSILON)
    dims = (0, 2, 3)
    with torch.no_grad():
        p["mean"].mul_(MOMENTUM).add_(x.mean(dims) * (1 - MOMENTUM))
        p["var"].mul_(MOMENTUM).add_(x.var(dims, unbiased=False) * (1 - MOMENTUM))
    return F.batch_norm(x, None, None, p["gamma"], p["beta"], True, 0.0, EPSILON)


def cnn(p, x, training):
    # No bias in front of batch_norm: its gradient is nothing but rounding, which Adam would scale up.
    a = F.conv2d(x, p["c0"], padding=1)
    a = F.max_pool2d(F.relu(batch_norm(p, a, training)), 2)
    y = F.leaky_relu(F.conv2d(a, p["c1"], p["c1b"], padding=1) + a, 0.1)
    y = F.avg_pool2d(y, 2).flatten(1) @ p["w0"] + p["b0"]
    y = F.gelu(F.layer_norm(y, [8], p["scale"], p["shift"], 1e-5))
    return y @ p["w1"] + p["b1"]


def make_optimizer(options, params):
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    if options["kind"] == "sgd":
        return torch.optim.SGD(params, lr, momentum=options.get("momentum", 0.0), weight_decay=decay,
                               nesterov=bool(options.get("nesterov", 0)))
    kind = torch.optim.Adam if options["kind"] == "adam" else torch.optim.AdamW
    return kind(params, lr, weight_decay=decay)


def clip(options, params):
    if "clip_norm" in options:
        torch.nn.utils.clip_grad_norm_(params, options["clip_norm"])
    if "clip_value" in options:
        torch.nn.utils.clip_grad_value_(params, options["clip_value"])


def train(network, initial, batches, labels, name, options):
    p = {k: v.clone() for k, v in initial.items()}
    trained = [v.requires_grad_() for k, v in p.items() if k not in ("mean", "var")]
    optimizer, losses = make_optimizer(options, trained), []
    for step in range(STEPS):
        i = step % len(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(p, batches[i], True), labels[i])
        loss.backward()
        losses.append(loss.detach())
        clip(options, trained)
        optimizer.step()
    print("run", name.replace(" ", "_"), " ".join(f"{k}={v}" for k, v in options.items()))
    print("losses", text(torch.stack(losses)))
    print("eval", text(F.cross_entropy(network(p, batches[0], False), labels[0])))
    for k, v in p.items():
        print("final", k, ",".join(str(d) for d in v.shape), text(v, 7))


def emit(name, network, initial, shape, batch_count, runs):
    print("net", name)
    for k, v in initial.items():
        print("param", k, ",".join(str(d) for d in v.shape), text(v))
    batches = [rounded(torch.randn(shape), 2) for _ in range(batch_count)]
    labels = [torch.randint(0, 5, (shape[0],)) for _ in range(batch_count)]
    for b, t in zip(batches, labels):
        print("batch", text(b))
        print("labels", text(t))
    for run, options in runs.items():
        train(network, initial, batches, labels, run, options)


print("# made by tests/golden/make_train_golden.py with PyTorch", torch.__version__)
emit("mlp", mlp, mlp_params(), (16, 20), 5, {
    "sgd": {"kind": "sgd", "lr": 0.1},
    "momentum": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": 1},
    "adam": {"kind": "adam", "lr": 0.01},
    "adam with decay": {"kind": "adam", "lr": 0.01, "weight_decay": 0.1},
    "adamw": {"kind": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "clip by norm": {"kind": "sgd", "lr": 0.1, "clip_norm": 0.3},
    "clip by value": {"kind": "sgd", "lr": 0.1, "clip_value": 0.02},
})
emit("cnn", cnn, cnn_params(), (8, 2, 8, 8), 4, {
    "sgd": {"kind": "sgd", "lr": 0.05, "momentum": 0.9},
    "adam": {"kind": "adam", "lr": 0.01},
})
