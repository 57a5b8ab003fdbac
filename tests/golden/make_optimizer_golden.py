#!/usr/bin/env python3
"""Makes tests/golden/optimizer_golden.h: values of PyTorch's optimisers after 1, 10 and 50 steps.

    /usr/bin/python3 tests/golden/make_optimizer_golden.py > tests/golden/optimizer_golden.h

Written with python3-torch 1.13. The gradient of step t (from 1) is gradients[t % 4], so the path
of each element depends on the formulas alone.
"""
import torch

COUNT, CHECKPOINTS = 13, (1, 10, 50)

torch.manual_seed(7)
value = torch.randn(COUNT)
gradients = torch.randn(4, COUNT) * torch.logspace(-4, 1, COUNT)
gradients[:, 5] = 0.0  # an element nothing flows to

# name, C fields of struct fnl_optimizer, learning rate, PyTorch's optimiser, clip_value
CASES = [
    ("sgd", "FNL_SGD", {}, 0.1, torch.optim.SGD, {}, 0),
    ("sgd with weight decay", "FNL_SGD", {"weight_decay": 0.01}, 0.1, torch.optim.SGD,
     {"weight_decay": 0.01}, 0),
    ("sgd with momentum", "FNL_SGD", {"momentum": 0.9}, 0.01, torch.optim.SGD, {"momentum": 0.9}, 0),
    ("sgd with nesterov and decay", "FNL_SGD",
     {"momentum": 0.9, "nesterov": "true", "weight_decay": 0.001}, 0.01, torch.optim.SGD,
     {"momentum": 0.9, "nesterov": True, "weight_decay": 0.001}, 0),
    ("sgd clipped", "FNL_SGD", {"clip_value": 0.05}, 0.1, torch.optim.SGD, {}, 0.05),
    ("adam", "FNL_ADAM", {}, 0.001, torch.optim.Adam, {}, 0),
    ("adam with weight decay", "FNL_ADAM", {"weight_decay": 0.01}, 0.002, torch.optim.Adam,
     {"weight_decay": 0.01}, 0),
    ("adam with other betas", "FNL_ADAM", {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4}, 0.01,
     torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-4}, 0),
    ("adamw", "FNL_ADAMW", {"weight_decay": 0.01}, 0.001, torch.optim.AdamW,
     {"weight_decay": 0.01}, 0),
    ("adamw clipped", "FNL_ADAMW", {"weight_decay": 0.1, "clip_value": 0.5}, 0.01,
     torch.optim.AdamW, {"weight_decay": 0.1}, 0.5),
]
C_DEFAULTS = {"momentum": 0.0, "nesterov": "false", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
              "weight_decay": 0.0, "clip_norm": 0.0, "clip_value": 0.0}


def floats(t):
    return "{" + ", ".join(f"{float(v):.9e}F" for v in t) + "}"


def state(optimizer, p, kind):
    s = optimizer.state[p]
    zero = torch.zeros(COUNT)
    if kind == "FNL_SGD":
        b = s.get("momentum_buffer")
        return (zero if b is None else b), zero
    return s["exp_avg"], s["exp_avg_sq"]


print("/* Made by tests/golden/make_optimizer_golden.py with PyTorch", torch.__version__ + ":")
print(" *   /usr/bin/python3 tests/golden/make_optimizer_golden.py > tests/golden/optimizer_golden.h */")
print("/* clang-format off */")
print("#ifndef FNL_TESTS_GOLDEN_OPTIMIZER_GOLDEN_H\n#define FNL_TESTS_GOLDEN_OPTIMIZER_GOLDEN_H\n")
print('#include "engine/exec.h"\n')
print(f"enum {{ GOLDEN_COUNT = {COUNT}, GOLDEN_CHECKPOINTS = {len(CHECKPOINTS)} }};\n")
print("static const int golden_steps[GOLDEN_CHECKPOINTS] = {" + ", ".join(map(str, CHECKPOINTS)) + "};")
print("static const float golden_value[GOLDEN_COUNT] =\n    " + floats(value) + ";")
print("static const float golden_gradient[4][GOLDEN_COUNT] = {")
for g in gradients:
    print("    " + floats(g) + ",")
print("};\n")
print("static const struct golden_case {\n    const char *name;\n    struct fnl_optimizer optimizer;\n"
      "    float learning_rate;\n"
      "    struct { float value[GOLDEN_COUNT], slot1[GOLDEN_COUNT], slot2[GOLDEN_COUNT]; }"
      " at[GOLDEN_CHECKPOINTS];\n} golden_cases[] = {")
for name, kind, fields, rate, optimizer_class, arguments, clip in CASES:
    p = torch.nn.Parameter(value.clone())
    optimizer = optimizer_class([p], lr=rate, **arguments)
    c = dict(C_DEFAULTS, **fields)
    c_fields = ", ".join(f".{k} = {v if isinstance(v, str) else repr(float(v)) + 'F'}" for k, v in c.items())
    print(f'    {{"{name}", {{.kind = {kind}, {c_fields}}}, {float(rate)!r}F, {{')
    for t in range(1, max(CHECKPOINTS) + 1):
        p.grad = gradients[t % 4].clone()
        if clip:
            torch.nn.utils.clip_grad_value_([p], clip)
        optimizer.step()
        if t in CHECKPOINTS:
            slot1, slot2 = state(optimizer, p, kind)
            print("        {" + floats(p.detach()) + ",\n         " + floats(slot1) + ",\n         "
                  + floats(slot2) + "},")
    print("    }},")
print("};\n\n#endif")
