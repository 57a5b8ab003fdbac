#!/bin/sh
# quickstart.sh - from a fresh clone to a trained model: installs what is missing (Debian packages,
# by apt-get, as root or through sudo), builds, and trains a network on the 60,000 real images of
# Fashion-MNIST. May be run again at any time; then it installs and builds only what changed.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

echo "== Fournil: install, build, train =="
# shellcheck disable=SC2086
install_packages "to build" $BUILD_PACKAGES
install_packages "for the data: 70,000 pictures of clothing (Fashion-MNIST)" dataset-fashion-mnist

echo "Building (build/release) ..."
log=build/quickstart.log
mkdir -p build
if ! make > "$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "error: the build failed; all of its output: $log" >&2
    exit 1
fi
echo "Built: build/fournil, $(build/fournil --version)"

echo "Training: build/fournil train examples/fashion_mlp.yaml"
echo
build/fournil train examples/fashion_mlp.yaml "$@"

cat << 'END'

What to try next:
  build/fournil devices                         what this machine trains on
  build/fournil help train                      every option, with examples
  build/fournil train examples/fashion_mlp.yaml --epochs 20 --set train.batch=128
  build/fournil data fetch mnist                handwritten digits, and then:
  build/fournil train examples/mnist_mlp.yaml
docs/config.md has every key of the YAML file.
END
