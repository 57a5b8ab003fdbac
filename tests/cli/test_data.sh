#!/bin/sh
# `fournil data` from outside: what info shows, what fetch says.
#   sh tests/cli/test_data.sh FOURNIL BUILD_DIR
# shellcheck disable=SC2016 # the quoted scripts expand their own $1
. tests/tap.sh
fournil=$1
dir=$work
unset http_proxy all_proxy ALL_PROXY FOURNIL_DATA

json() { # EXPRESSION: of python3, on the JSON object d in $out
    printf '%s' "$out" | python3 -c "import json,sys; d=json.load(sys.stdin); sys.exit(not ($1))"
}

printf 'a,b,kind\n1,2,red\n3,4,blue\n5,6,red\n7,8,red\n' > "$dir/train.csv"
printf 'a,b,kind\n1,2,blue\n' > "$dir/test.csv"
cat > "$dir/config.yaml" << 'END'
data:
  format: csv
  train: {file: train.csv}
  test: {file: test.csv}
  target: kind
  normalize: computed
END

run "$fournil" data info "$dir/config.yaml"
expect "info shows the samples" 0 "train 4, validation 0, test 1"
expect "... the shape" 0 '[2] float32'
check "... and the classes" sh -c 'printf "%s\n" "$1" | grep -qxE "1 +red +3 +0 +0"' sh "$out"
run "$fournil" data info "$dir/config.yaml" --json
expect "info --json" 0
check "... has counts" json 'd["samples"] == {"train": 4, "validation": 0, "test": 1}'
check "... and classes" json 'd["classes"][0] == {"label": 0, "name": "blue", "train": 1, "validation": 0, "test": 1}'
check "... and the normalisation" json 'len(d["normalization"]["mul"]) == 2'
run "$fournil" data info "$dir/config.yaml" --set data.limit=2
expect "info --set" 0 "train 2,"
run "$fournil" data info "$dir/config.yaml" --set data.target=a --set data.ignore=kind --json
expect "info of a number" 0
check "... says so" json 'd["target"] == "number" and d["target_size"] == 1'
run "$fournil" data info "$dir/nothing.yaml"
expect "a configuration that is not there is status 3" 3 "nothing.yaml"
printf 'a,b,kind\n1,x,red\n' > "$dir/test.csv"
run "$fournil" data info "$dir/config.yaml"
expect "a bad value names file, line and column" 3 'test.csv:2: column "b": not a number: "x"'

run "$fournil" data
expect "data alone shows its commands" 2 "fetch"
run "$fournil" data fetch minst
expect "an unknown set names the nearest" 2 'did you mean "mnist"?'
run "$fournil" data fetch
expect "fetch wants a set" 2 "fetch"

mkfifo "$dir/in"
mkdir "$dir/www"
printf 'not the file' > "$dir/www/train-images-idx3-ubyte.gz"
python3 tests/net/server.py "$dir/www" < "$dir/in" > "$dir/port" &
exec 9> "$dir/in" # the server ends when this is closed
tries=0
until [ -s "$dir/port" ] || [ "$tries" -ge 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
url=http://127.0.0.1:$(cat "$dir/port")
run "$fournil" data fetch mnist --dir "$dir/data" --url "$url/gone"
expect "fetch of what the server lacks is status 3" 3 "HTTP 404"
run "$fournil" data fetch mnist --dir "$dir/data" --url "$url/ok"
expect "fetch of another file is status 3" 3 "has 12 bytes, expected 9912422"
check "... and leaves no file" sh -c '! ls "$1"/data/mnist/*.gz* 2> /dev/null' sh "$dir"
run "$fournil" data fetch mnist --dir "$dir/data" --url file:///etc
expect "fetch knows http and https only" 2 "https://"

# The distributor's Fashion-MNIST, rebuilt from Debian's copy: only gzip headers differ.
fashion=/usr/share/datasets/fashion-mnist
if [ -d "$fashion" ]; then
    python3 - "$fashion" "$dir/www" << 'END'
import struct, sys
times = {"train-images-idx3": 1504176606, "train-labels-idx1": 1504176606,
         "t10k-images-idx3": 1504176627, "t10k-labels-idx1": 1504176627}
for name, time in times.items():
    name += "-ubyte"
    with open(f"{sys.argv[1]}/{name}.gz", "rb") as f:
        data = f.read()
    with open(f"{sys.argv[2]}/{name}.gz", "wb") as f:
        f.write(b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + b"\0\3" + name.encode() + b"\0")
        f.write(data[10:])
END
    run "$fournil" data fetch fashion-mnist --dir "$dir/data" --url "$url/ok" --json
    expect "fetch gets all files of a set" 0
    check "... and lists them" json 'len(d["files"]) == 4 and d["files"][0]["state"] == "downloaded"'
    run "$fournil" data fetch fashion-mnist --dir "$dir/data" --url "$url/gone"
    expect "fetch keeps what is there" 0 "present"
    truncate -s 100000 "$dir/data/fashion-mnist/t10k-images-idx3-ubyte.gz"
    mv "$dir/data/fashion-mnist/t10k-images-idx3-ubyte.gz" \
        "$dir/data/fashion-mnist/t10k-images-idx3-ubyte.gz.part"
    run "$fournil" data fetch fashion-mnist --dir "$dir/data" --url "$url/ok"
    expect "fetch goes on with a part" 0 "resumed"
fi
finish
