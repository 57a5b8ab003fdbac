#!/usr/bin/python3
"""Learning rates of PyTorch's schedulers, for tests/train/test_schedule.c.

    /usr/bin/python3 tests/golden/make_schedules.py

Made with PyTorch 1.13.1 (Debian 12's python3-torch). 10 epochs of 7 steps, learning rate 0.1.
"""
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

EPOCHS, STEPS = 10, 7


def rates(make, per_epoch=False):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    out = []
    for step in range(EPOCHS * STEPS):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if not per_epoch or step % STEPS == STEPS - 1:
            scheduler.step()
    return out


def show(name, values):
    print(f"static const double {name}[] = {{")
    for i in range(0, len(values), 4):
        print("    " + " ".join(f"{v:.17g}," for v in values[i:i + 4]))
    print("};")


show("step_rates", rates(lambda o: StepLR(o, step_size=3, gamma=0.5), per_epoch=True))
show("cosine_rates", rates(lambda o: CosineAnnealingLR(o, EPOCHS * STEPS, eta_min=0.001)))
show("one_cycle_rates", rates(lambda o: OneCycleLR(
    o, max_lr=0.1, total_steps=EPOCHS * STEPS, pct_start=0.3, div_factor=25.0,
    final_div_factor=1e4, cycle_momentum=False)))
