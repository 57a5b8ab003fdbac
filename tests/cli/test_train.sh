#!/bin/sh
# train and evaluate from outside, on slices of the real data.
#   sh tests/cli/test_train.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$1
FOURNIL_DATA=${FOURNIL_SHARED:-../shared}/data
export FOURNIL_DATA
unset FOURNIL_DIR
mnist=examples/mnist_mlp.yaml

if [ ! -e "$FOURNIL_DATA/mnist/train-images-idx3-ubyte.gz" ]; then
    skip "no MNIST in $FOURNIL_DATA (set FOURNIL_SHARED)"
    finish
    exit
fi

json() { # EXPRESSION: of python3, on the list of objects d, one a line of $out
    printf '%s\n' "$out" | python3 -c "
import json, sys
d = [json.loads(line) for line in sys.stdin if line.strip()]
sys.exit(not ($1))"
}
field() { # KEY: of the last line of $out
    printf '%s\n' "$out" | tail -1 | python3 -c "import json,sys; print(json.load(sys.stdin)['$1'])"
}
train() { # OPTIONS: a small run of the MNIST example
    run "$fournil" train "$mnist" --set data.limit=3000 --threads 1 --dir "$work/state" "$@"
}
folder() {
    echo "$work/state/runs/$1"
}
same_metrics() { # RUN RUN: equal but for times
    python3 - "$(folder "$1")/metrics.jsonl" "$(folder "$2")/metrics.jsonl" <<'PY'
import json, sys
a, b = ([{k: v for k, v in json.loads(line).items() if k not in ("seconds", "samples_per_s")}
         for line in open(name)] for name in sys.argv[1:3])
sys.exit(not a or a != b)
PY
}

# --- a run -------------------------------------------------------------------------------------
train --epochs 2
expect "a run ends with 0 and says where the model is" 0 "model.onnx"
check "... with a line for each epoch" sh -c 'printf "%s\n" "$1" | grep -q "^  2/2 "' sh "$out"
check "... and nothing on stderr" test -z "$err"
check "... and what to try next" sh -c 'printf "%s\n" "$1" | grep -q "^next: fournil evaluate"' sh "$out"

train --epochs 2 --json
expect "--json" 0
check "... prints an object an epoch and one at the end" json 'len(d) == 3 and d[0]["epoch"] == 1 and d[2]["event"] == "end"'
check "... the last with what the page promises" json \
    'set(d[2]) == {"event", "run", "model", "device", "epochs", "test_loss", "test_accuracy", "samples_per_s"} and d[2]["epochs"] == 2 and d[2]["device"] == "cpu"'
check "... and the model where it says" test -s "$(field model)"
first=$(field run)
model=$(field model)
loss=$(field test_loss)
accuracy=$(field test_accuracy)
check "it has learnt something" python3 -c "import sys; sys.exit(not $accuracy > 0.6)"

run "$fournil" evaluate "$model" --data "$mnist" --set data.limit=3000 --json
expect "evaluate" 0
check "... gives training's own numbers, bit for bit" json "d[0]['loss'] == $loss and d[0]['accuracy'] == $accuracy"
run "$fournil" evaluate "$model" --data "$mnist" --set data.limit=3000 --threads 2
expect "evaluate prints the classes" 0 "PRECISION"
run "$fournil" evaluate "$model" --data "$mnist" --split validation
expect "evaluate names what is absent" 3 "there are no validation data"
run "$fournil" evaluate "$mnist" --data "$mnist"
expect "evaluate refuses what is no model" 3 "mnist_mlp.yaml"
run "$fournil" evaluate "$model"
expect "evaluate without data says what to add" 2 "--data CONFIG.yaml"

# --- determinism -------------------------------------------------------------------------------
train --epochs 2 --json
second=$(field run)
check "the same run twice gives the same model" cmp "$(folder "$first")/model.onnx" "$(folder "$second")/model.onnx"
check "... and the same metrics" same_metrics "$first" "$second"
for threads in 1 2 3; do
    run "$fournil" train "$mnist" --set data.limit=3000 --epochs 1 --deterministic \
        --threads "$threads" --json --dir "$work/state"
    expect "--deterministic --threads $threads" 0
    if [ "$threads" -eq 1 ]; then
        one=$(field model)
    else
        check "... is the same model as with 1" cmp "$(field model)" "$one"
    fi
done

# --- stopped and killed ------------------------------------------------------------------------
# stop SIGNAL RUN_FILE: starts a run of 30 epochs, sends the signal after two, prints the status.
# From python, because a shell starts background jobs with SIGINT ignored.
stop() {
    python3 - "$fournil" "$mnist" "$work/stopped" "$1" <<'PY'
import glob, signal, subprocess, sys, time
fournil, config, folder, name = sys.argv[1:5]
child = subprocess.Popen([fournil, "train", config, "--set", "data.limit=3000", "--threads", "1",
                          "--epochs", "30", "--dir", folder],
                         stdout=subprocess.DEVNULL, stderr=open(folder + ".err", "w"))
while child.poll() is None:
    lines = sum(open(f).read().count("\n") for f in glob.glob(folder + "/runs/*/metrics.jsonl"))
    if lines >= 2:
        child.send_signal(getattr(signal, name))
        break
    time.sleep(0.005)
print(child.wait())
PY
}
train --epochs 30 --json
expect "a run of 30 epochs" 0
whole=$(field run)
for signal in SIGKILL SIGINT SIGTERM; do
    rm -rf "$work/stopped"
    status=$(stop "$signal")
    if [ "$signal" = SIGKILL ]; then
        check "a run killed by $signal" test "$status" -eq -9
    else
        check "a run stopped by $signal exits 130" test "$status" -eq 130
        check "... and says how to go on" grep -q -- "--resume $work/stopped/runs/mnist_mlp-" "$work/stopped.err"
    fi
    stopped=$(ls "$work/stopped/runs")
    check "... has no model yet" test ! -e "$work/stopped/runs/$stopped/model.onnx"
    run "$fournil" train --resume "$stopped" --dir "$work/stopped" --json
    expect "... goes on with --resume" 0
    check "... and ends with the same model" cmp "$work/stopped/runs/$stopped/model.onnx" \
        "$(folder "$whole")/model.onnx"
    cp -r "$work/stopped/runs/$stopped" "$work/state/runs/"
    check "... and the same metrics" same_metrics "$stopped" "$whole"
done
run "$fournil" train --resume "$stopped" --dir "$work/stopped"
expect "a run that has ended says so" 0 "run $stopped has ended: 30 epochs, test loss"
check "... and how to go on" sh -c 'printf "%s\n" "$1" | grep -q "^to go on: fournil train --resume .*$2 --epochs 60"' sh "$out" "$stopped"
run "$fournil" train --resume "$stopped" --dir "$work/stopped" --json
expect "... with --json" 0
check "... by the same last line" json 'len(d) == 1 and d[0]["event"] == "end" and d[0]["epochs"] == 30'
loss=$(field test_loss)
check "... with the same numbers" python3 -c "
import json, sys
sys.exit(json.load(open('$(folder "$whole")/summary.json'))['test']['loss'] != $loss)"
run "$fournil" train --resume "$stopped" --dir "$work/stopped" --epochs 32
expect "a run that has ended goes on with --epochs" 0 "going on with epoch 31"
train --epochs 32 --json
check "... to the result of a run that had them from the start" cmp "$(field model)" "$work/stopped/runs/$stopped/model.onnx"
check "... and its metrics" sh -c 'test "$(wc -l < "$1")" -eq 32' sh "$work/stopped/runs/$stopped/metrics.jsonl"
run "$fournil" train --resume nothing --dir "$work/stopped"
expect "an unknown run" 3 'no run "nothing"'

# In the middle of an epoch: last.ckpt is written every second.
rm -rf "$work/long"
case $2 in # a step takes many times as long under sanitizers
*asan | *tsan) limit=3000 ;;
*) limit=60000 ;;
esac
long() { # OPTIONS: one epoch of many small steps
    run "$fournil" train "$mnist" --set data.limit=$limit --set train.checkpoint.every_seconds=1 --threads 1 --batch 1 \
        --epochs 1 --json "$@"
}
python3 - "$fournil" "$mnist" "$work/long" "$limit" <<'PY'
import glob, subprocess, sys, time
fournil, config, folder, limit = sys.argv[1:5]
child = subprocess.Popen([fournil, "train", config, "--set", "train.checkpoint.every_seconds=1",
                          "--set", "data.limit=" + limit, "--threads", "1", "--batch", "1", "--epochs", "1", "--dir", folder],
                         stdout=subprocess.DEVNULL)
while child.poll() is None and not glob.glob(folder + "/runs/*/last.ckpt"):
    time.sleep(0.005)
child.kill()
child.wait()
PY
killed=$(ls "$work/long/runs")
if [ -e "$work/long/runs/$killed/metrics.jsonl" ]; then
    skip "this machine is too fast to be killed in the middle of an epoch"
else
    run "$fournil" train --resume "$killed" --dir "$work/long"
    expect "killed in the middle of an epoch it goes on there" 0 "going on in epoch 1 after batch"
    long --dir "$work/state"
    check "... and ends with the same model" cmp "$(field model)" "$work/long/runs/$killed/model.onnx"
    cp -r "$work/long/runs/$killed" "$work/state/runs/"
    check "... and the same metrics" same_metrics "$killed" "$(field run)"
fi

# --- two in one folder -------------------------------------------------------------------------
rm -rf "$work/stopped"
status=$(stop SIGKILL)
stopped=$(ls "$work/stopped/runs")
run flock "$work/stopped/runs/$stopped/lock" "$fournil" train --resume "$stopped" --dir "$work/stopped"
expect "a run at which another process works is refused with 4" 4 "another process is at work"
run "$fournil" train --resume "$stopped" --dir "$work/stopped" --batch 32
expect "a changed configuration is refused by its key" 3 "train.batch is not what the run was started with"

# --- mistakes ----------------------------------------------------------------------------------
run "$fournil" train
expect "without a configuration" 2 "no configuration given"
run "$fournil" train "$work/absent.yaml"
expect "an absent configuration" 3 "absent.yaml"
train --set train.epoch=1
expect "an unknown key names the nearest" 3 'did you mean "epochs"?'
train --device cuda:99
expect "a device that is not here" 4 "is not available: "
train --set train.optimizer.learning_rate=1e6 --set model.1.dense.activation=linear --epochs 2
expect "a loss that is no number stops the run with the step" 5 "step"
check "... and a hint" sh -c 'printf "%s\n" "$1" | grep -q "hint: lower train.optimizer.learning_rate"' sh "$err"
: > "$work/file"
run "$fournil" train "$mnist" --set data.limit=100 --epochs 1 --dir "$work/file"
expect "a folder that cannot be made" 5 "$work/file"
run env FOURNIL_DATA=/nonexistent "$fournil" train "$mnist" --epochs 1 --dir "$work/none"
if [ "$status" -ne 0 ]; then # a checkout may have the data in ./data
    expect "absent data says how to get it" 3 "fournil data fetch mnist"
fi
check "failed starts leave no folder" test ! -e "$work/none/runs"

# --- other examples, other places --------------------------------------------------------------
run "$fournil" train examples/cifar10_cnn.yaml --set data.limit=320 --epochs 1 --json --dir "$work/state"
expect "examples/cifar10_cnn.yaml trains" 0 '"event":"end"'
cifar=$(field model)
loss=$(field test_loss)
run "$fournil" evaluate "$cifar" --data examples/cifar10_cnn.yaml --set data.limit=320 --json
check "... and evaluates to the same bits" json "d[0]['loss'] == $loss"
if [ -e /usr/share/datasets/fashion-mnist ]; then
    run "$fournil" train examples/fashion_mlp.yaml --set data.limit=2000 --epochs 1 --dir "$work/state"
    expect "examples/fashion_mlp.yaml trains" 0 "test accuracy"
else
    skip "no dataset-fashion-mnist"
fi
run env FOURNIL_DIR="$work/by-variable" "$fournil" train "$mnist" --set data.limit=100 --epochs 1
expect "FOURNIL_DIR says where runs go" 0 "$work/by-variable/runs/mnist_mlp-"

# --- a terminal --------------------------------------------------------------------------------
cat > "$work/bar.py" <<'PY'
import os, pty, sys
seen = []
def read(fd):
    data = os.read(fd, 65536)
    seen.append(data)
    return data
status = pty.spawn(sys.argv[1:], read)
text = b"".join(seen)
sys.exit(not (status == 0 and b"[###" in text and b"  1/1 " in text and b"left" in text))
PY
check "on a terminal there is a bar" python3 "$work/bar.py" "$fournil" train "$mnist" \
    --set data.limit=60000 --epochs 1 --threads 1 --dir "$work/state"

finish
