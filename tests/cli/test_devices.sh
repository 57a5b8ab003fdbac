#!/bin/sh
# devices from outside, and --device for GPUs that are not there: with drivers that are absent, too
# old, without devices, that hang, crash and print.
#   sh tests/cli/test_devices.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$1
fake=$2/fake/opencl/libOpenCL.so.1
old=$2/fake/opencl_old/libOpenCL.so.1
unset FOURNIL_OPENCL FOURNIL_DIR
FOURNIL_CACHE=$work/cache
export FOURNIL_CACHE
mkdir "$work/none"

json() { # EXPRESSION: of python3, on the JSON object d in $out
    printf '%s' "$out" | python3 -c "import json,sys; d=json.load(sys.stdin); sys.exit(not ($1))"
}
driver='[x for x in d["drivers"] if x["name"] == "opencl"][0]'
no_cl='not [x for x in d["devices"] if x["kind"] == "opencl"]'
narrow() { # no line of $out is wider than a terminal of 80 columns
    printf '%s\n' "$out" | awk 'length($0) > 80 { bad = 1; print } END { exit bad }'
}

# --- what is there -----------------------------------------------------------------------------
run "$fournil" devices --json
expect "devices --json" 0
check "... has the keys that the page promises" json \
    'set(d) == {"devices", "auto", "auto_reason", "drivers", "libraries"} and d["auto_reason"]'
check "... both drivers, each with devices or a problem with a hint" json \
    '[x["name"] for x in d["drivers"]] == ["cuda", "opencl"] and all(x["devices"] or x["problem"] and x["hint"] for x in d["drivers"])'
check "... the vendors' libraries, of which none is used" json \
    '[x["name"] for x in d["libraries"]] == ["cuBLAS", "cuDNN", "CLBlast"] and not any(x["used"] for x in d["libraries"])'
check "... auto is one of the devices" json 'd["auto"] in [x["name"] for x in d["devices"]]'
run "$fournil" devices
expect "devices says what auto takes" 0 "--device auto takes "
check "... in 80 columns" narrow

run env FOURNIL_OPENCL=off "$fournil" devices --json
expect "OpenCL turned off" 0
check "... is said with the remedy" json "$no_cl and ${driver}['hint'] == 'unset FOURNIL_OPENCL'"
run env FOURNIL_OPENCL="$work/nothing.so" "$fournil" devices --json
expect "no loader" 0
check "... is said with the remedy" json "$no_cl and 'ocl-icd-libopencl1' in ${driver}['hint']"
echo "not a library" > "$work/broken.so"
run env FOURNIL_OPENCL="$work/broken.so" "$fournil" devices --json
expect "a loader that is no library" 0
check "... is said" json "$no_cl and 'broken.so' in ${driver}['problem']"
run env FOURNIL_OPENCL="$old" "$fournil" devices --json
expect "a loader older than OpenCL 1.2" 0
check "... is said with the function it lacks" json "$no_cl and 'clEnqueueFillBuffer' in ${driver}['problem']"
run env FAKE_OPENCL_START=hang FOURNIL_OPENCL="$fake" "$fournil" devices --timeout 1 --json
expect "a driver that hangs" 0
check "... is left alone after the time it was given" json "$no_cl and 'has not answered within 1 s' in ${driver}['problem']"
run env FAKE_OPENCL_START=crash FOURNIL_OPENCL="$fake" "$fournil" devices --json
expect "a driver that crashes" 0
# (A sanitizer makes an exit of a crash.)
check "... is said" json "$no_cl and ('crashed' in ${driver}['problem'] or 'ended the process' in ${driver}['problem'])"
run env FAKE_OPENCL_START=exit FOURNIL_OPENCL="$fake" "$fournil" devices --json
expect "a driver that ends the process" 0
check "... is said" json "$no_cl and 'ended the process' in ${driver}['problem']"
run "$fournil" devices --timeout 0
expect "no time at all is refused" 2 "--timeout"

# --- what is asked for and not there -----------------------------------------------------------
cat > "$work/net.yaml" << 'YAML'
data:
  format: idx
  train: {images: images.gz, labels: labels.gz}
model:
  - flatten
  - dense: {units: 10}
train:
  loss: sparse_categorical_crossentropy
YAML
refused() { # NAME TEXT VARIABLE=VALUE...: with --device opencl:0 and in the file
    name=$1
    text=$2
    shift 2
    run env "$@" "$fournil" train "$work/net.yaml" --device opencl:0 --dir "$work/state"
    expect "$name: train --device exits 4" 4 "$text"
    check "... with a hint" grep -q "^  hint: " "$work/err"
    run env "$@" "$fournil" train "$work/net.yaml" --set train.device=opencl:0 --dir "$work/state"
    expect "... and so does train.device" 4 "$text"
    check "... and leaves no run behind" test ! -e "$work/state"
}
refused "OpenCL turned off" "OpenCL is turned off" FOURNIL_OPENCL=off
refused "no loader" "there is no OpenCL loader here" FOURNIL_OPENCL="$work/nothing.so"
refused "a loader that is too old" "clEnqueueFillBuffer" FOURNIL_OPENCL="$old"
run env OCL_ICD_VENDORS="$work/none" "$fournil" devices --json
if json "'no OpenCL loader' not in ${driver}['problem']"; then
    refused "a loader without drivers" "finds no driver" OCL_ICD_VENDORS="$work/none"
    refused "drivers without devices" "find no device" FAKE_OPENCL_DEVICES=0 FOURNIL_OPENCL="$fake" \
        OCL_ICD_VENDORS="${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}"
else
    skip "no OpenCL loader (ocl-icd-libopencl1)"
fi

# --- with an OpenCL device ---------------------------------------------------------------------
run "$fournil" devices --json
if ! json "${driver}['devices'] > 0"; then
    skip "no OpenCL device (pocl-opencl-icd)"
    finish
    exit
fi
run env FAKE_OPENCL_START=noise FOURNIL_OPENCL="$fake" "$fournil" devices --json
expect "a driver that prints" 0
check "... does not spoil the JSON" json "${driver}['devices'] > 0"
run env FAKE_OPENCL_DEVICES=64 FAKE_OPENCL_BAD=7 FAKE_OPENCL_GPU=1 FOURNIL_OPENCL="$fake" \
    "$fournil" devices --json
expect "64 devices, one of them broken" 0
check "... are all listed, the broken one with its problem" json \
    "${driver}['devices'] == 64 and [x['name'] for x in d['devices'] if x.get('problem')] == ['opencl:7'] and d['devices'][64]['name'] == 'opencl:63'"
check "... and auto takes one that works" json 'd["auto"] == "opencl:0"'
run env FAKE_OPENCL_DEVICES=64 FAKE_OPENCL_BAD=7 FOURNIL_OPENCL="$fake" "$fournil" devices
expect "... in the table too" 0 "opencl:7   cannot be used, see below"
check "... in 80 columns" narrow
run env FAKE_OPENCL_BAD=0 FOURNIL_OPENCL="$fake" "$fournil" train "$work/net.yaml" --device opencl:0
expect "a device that does not answer is refused" 4 "does not answer"
run "$fournil" train "$work/net.yaml" --device opencl:99
expect "a number that is too high is refused" 4 "there is no opencl:99"
finish
