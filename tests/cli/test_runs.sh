#!/bin/sh
# train and evaluate from outside, on small data of its own: results, files, resuming, mistakes.
#   sh tests/cli/test_runs.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$(realpath "$1")
here=$(pwd)
cd "$work" || exit 1

python3 "$here/tests/cli/make_idx.py" 600 200
cp "$here/tests/cli/net.yaml" .

# In what follows `end` is the last line of JSON, `lines` all of them.
json() { # EXPRESSION
    printf '%s\n' "$out" | python3 -c "
import json, sys
lines = [json.loads(line) for line in sys.stdin if line.strip()]
end = lines[-1]
sys.exit(not ($1))"
}
field() { # NAME: of the last line
    printf '%s\n' "$out" | python3 -c "
import json, sys
value = json.loads(sys.stdin.readlines()[-1])['$1']
print(value if isinstance(value, str) else repr(float(value)))"
}

# ---- results ----
run "$fournil" train net.yaml --threads 1 --dir runs
expect "train shows accuracy" 0 "accuracy"
run "$fournil" train net.yaml --threads 1 --dir runs --json
expect "train --json" 0
check "... in one compact form on every line" sh -c '! grep -E "\": |\", |, \"" "$1"' sh "$work/out"
check "... the end is of the promised form" sh -c \
    'tail -n 1 "$1" | grep -qE "$2"' sh "$work/out" \
    '^\{"event":"end","run":"net-[0-9-]+","model":"runs/runs/net-[0-9-]+/model.onnx","device":"cpu","epochs":3,"test_loss":[0-9.e-]+,"test_accuracy":[0-9.]+,"samples_per_s":[0-9.e+]+\}$'
check "... every line is an object, one an epoch and the end" json \
    '[l.get("event") for l in lines].count("epoch") == 3 and end["event"] == "end"'
check "... the end says what was reached" json \
    'all(k in end for k in ("run", "model", "device", "epochs", "test_loss", "test_accuracy",
        "samples_per_s")) and end["epochs"] == 3'
check "... and it has learnt" json 'end["test_accuracy"] > 0.9'
loss=$(field test_loss)
accuracy=$(field test_accuracy)
model=$(field model)
folder=$(dirname "$model")
for file in config.yaml metrics.jsonl summary.json curves.svg model.onnx; do
    check "the run folder has $file" test -s "$folder/$file"
done
check "metrics.jsonl has a line an epoch" test "$(wc -l < "$folder/metrics.jsonl")" -eq 3

run "$fournil" evaluate "$model" --data net.yaml --json
expect "evaluate" 0
check "... gives training's own numbers to the bit" test "$(field loss) $(field accuracy)" = \
    "$loss $accuracy"
run sh -c 'mkdir other && cd other && "$1" train ../net.yaml --threads 1 --set data.limit=100' sh "$fournil"
expect "the end says how to test the model" 0 "next: fournil evaluate .fournil/runs/"
loss_limited=$(python3 -c "import glob, json
print(repr(json.load(open(glob.glob('other/.fournil/runs/*/summary.json')[0]))['test']['loss']))")
next=$(printf '%s\n' "$out" | sed -n 's/^next: fournil //p')
run sh -c "cd other && \"\$1\" $next --json" sh "$fournil"
expect "... as a command" 0
check "... on what the run was tested on, with its --set" test "$(field loss)" = "$loss_limited"
run "$fournil" train net.yaml --threads 1 --epochs 1 --dir "it's my runs"
expect "a folder with blanks and quotes" 0
next=$(printf '%s\n' "$out" | sed -n 's/^next: fournil //p')
run sh -c "\"\$1\" $next" sh "$fournil"
expect "... the next command can be copied into a shell" 0 "test accuracy"
run "$fournil" train --resume "$(basename "it's my runs"/runs/*)" --dir "it's my runs"
more=$(printf '%s\n' "$out" | sed -n 's/^to go on: fournil //p')
run sh -c "\"\$1\" $more" sh "$fournil"
expect "... and the one to go on" 0 "going on with epoch 2"
run "$fournil" train net.yaml --threads 1 --dir runs --json
check "the same seed gives the same result" test "$(field test_loss)" = "$loss"
run "$fournil" train net.yaml --threads 1 --dir runs --json --set train.seed=2
check "another seed gives another" test "$(field test_loss)" != "$loss"
run "$fournil" train net.yaml --threads 1 --dir runs --json --epochs 1 --batch 64
check "--epochs and --batch override the file" json 'end["epochs"] == 1'
run env FOURNIL_DIR=elsewhere "$fournil" train net.yaml --threads 1 --epochs 1
expect "FOURNIL_DIR names the folder of runs" 0
check "... and it is there" test -d elsewhere/runs
python=$(command -v /usr/bin/python3 || command -v python3) # Debian's has Debian's packages
if "$python" -c 'import onnx' 2> /dev/null; then
    check "the model passes ONNX's checker" "$python" -c "
import onnx
onnx.checker.check_model(onnx.load('$model'), full_check=True)"
else
    skip "python3-onnx is not installed"
fi

# ---- interrupted, killed, resumed ----
lines_of() { # FOLDER: epochs done so far
    cat "$1"/runs/*/metrics.jsonl 2> /dev/null | wc -l
}
start() { # FOLDER: a long run in the background, after its second epoch
    # exec: the id is the program's own. A shell makes its background jobs ignore SIGINT.
    (exec env --default-signal=INT "$fournil" train net.yaml --threads 1 --dir "$1" --epochs "${2-400}" \
        > "$work/bg.out" 2> "$work/bg.err") &
    id=$!
    tries=0
    while [ "$(lines_of "$1")" -lt 2 ] && [ $tries -lt 1200 ] && kill -0 $id 2> /dev/null; do
        sleep 0.05
        tries=$((tries + 1))
    done
}
run "$fournil" train net.yaml --threads 1 --dir whole --epochs 400 --json
whole=$(field test_loss)
start killed
kill -9 $id 2> /dev/null
wait $id 2> /dev/null
name=$(basename killed/runs/*)
if [ -e "killed/runs/$name/summary.json" ]; then
    skip "the run ended before it could be killed"
else
    run "$fournil" train --resume "$name" --dir killed --json
    expect "a run that was killed goes on" 0
    check "... to the bit-identical result" test "$(field test_loss)" = "$whole"
    check "... without losing or repeating an epoch" test "$(lines_of killed)" -eq 400
fi

start interrupted 100000
run "$fournil" train --resume "$(basename interrupted/runs/*)" --dir interrupted
expect "two processes at one run refuse each other with 4" 4
kill -INT $id || true
status=0
wait $id || status=$?
out=$(cat bg.out)
err=$(cat bg.err)
expect "Ctrl-C ends with 130 and says how to go on" 130 "--resume"

# ---- nowhere to write ----
if [ -w /dev/full ]; then
    for option in --json --threads=1; do
        status=0
        "$fournil" train net.yaml $option --dir full > /dev/full 2> err || status=$?
        out=
        err=$(cat err)
        expect "standard output is full ($option)" 5 "standard output"
    done
    check "... the model is there all the same" sh -c 'ls full/runs/*/model.onnx'
else
    skip "there is no /dev/full"
fi

# ---- mistakes ----
wrong() { # NAME STATUS TEXT SED-EXPRESSION
    sed "$4" net.yaml > wrong.yaml
    run "$fournil" train wrong.yaml --threads 1 --dir wrong
    expect "$1" "$2" "$3"
}
wrong "an unknown key has line and nearest name" 3 "wrong.yaml:14" 's/epochs: 3/epoch: 3/'
expect "... the nearest name" 3 "epochs"
wrong "a wrong value has its line" 3 "wrong.yaml:13" 's/batch: 32/batch: many/'
wrong "an unknown layer has its line" 3 "wrong.yaml:8" 's/dense: {units: 16/dence: {units: 16/'
wrong "units that do not fit the classes" 3 "4" 's/units: 4/units: 3/'
wrong "a missing file is named" 3 "no-images" 's/images: train-images/images: no-images/'
wrong "YAML that is none has its line" 3 "wrong.yaml:" 's/^model:/model: [/'
wrong "a loss that is no number stops the run with the step" 5 "step" \
    "s/learning_rate: 0.1/learning_rate: 1e6/; s/units: 16, activation: relu/units: 16/"
for device in cuda:99 opencl:99; do
    run "$fournil" train net.yaml --dir wrong --device $device
    expect "--device $device is refused with the reason" 4 "is not available: "
    check "... and the way on" grep -q "fournil devices" "$work/err"
    run "$fournil" evaluate "$model" --data net.yaml --device $device
    expect "... by evaluate too" 4 "--device: \"$device\" is not available"
done
wrong "a device that is not here, in the file" 4 "wrong.yaml:14:11: train.device" \
    's/epochs: 3/device: cuda:99/'
run "$fournil" evaluate "$model" --data wrong.yaml
expect "... does not keep the model from being evaluated elsewhere" 0
wrong "a device that does not exist" 3 'did you mean "cpu"?' 's/epochs: 3/device: cpi/'
run "$fournil" train net.yaml --dir wrong --device gpi
expect "... and on the command line" 2 "--device: expected auto, cpu, ref"
run "$fournil" train absent.yaml
expect "a missing configuration is named" 3 "absent.yaml"
run "$fournil" train net.yaml --epochs 0
expect "a number out of range" 2 "--epochs"
run "$fournil" train net.yaml --set train.nonsense=1 --dir wrong
expect "--set of an unknown key" 3 "nonsense"
run "$fournil" train net.yaml --set nonsense --dir wrong
check "--set without a value is refused" test "$status" -ge 2
run "$fournil" train
expect "train without a configuration" 2
head -c 1000 train-images > short && mv short train-images
run "$fournil" train net.yaml --threads 1 --dir wrong
expect "a truncated data file is named" 3 "train-images"
run "$fournil" evaluate net.yaml --data net.yaml
expect "a model that is none" 3 "net.yaml"
run "$fournil" evaluate absent.onnx --data net.yaml
expect "a missing model" 3 "absent.onnx"
cd "$here" || exit 1
finish
