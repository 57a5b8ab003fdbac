# shellcheck shell=sh disable=SC2034
# packages.sh - Debian packages that the scripts need, and one function that installs what is
# missing. Read by quickstart.sh and test.sh.

# To build: compiler, build tool, and the libraries of docs/dependencies.md.
BUILD_PACKAGES="gcc libc6-dev make cmake ninja-build pkg-config libjansson-dev libyaml-dev \
zlib1g-dev libturbojpeg0-dev libspng-dev libprotobuf-c-dev protobuf-c-compiler \
libonnx-dev libcurl4-openssl-dev opencl-c-headers"
# To test: unit tests, checkers, the second compiler with its sanitizers and libFuzzer, what checks
# our output (the ONNX checker, lint for the man page and the scripts, the .deb's tools), and an
# OpenCL device made of the processor, on which GPU kernels run.
TEST_PACKAGES="g++ libcmocka-dev python3 clang clang-format libclang-rt-dev shellcheck mandoc dpkg-dev \
file curl python3-numpy python3-onnx pocl-opencl-icd ocl-icd-libopencl1"

# install_packages WHY PACKAGE...: with apt-get, as root or through sudo, only what is missing.
install_packages() {
    why=$1
    shift
    missing=""
    for package in "$@"; do
        if ! dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed'; then
            missing="$missing $package"
        fi
    done
    if [ -z "$missing" ]; then
        return 0
    fi
    if ! command -v apt-get > /dev/null; then
        echo "error: this needs Debian's packages:$missing" >&2
        echo "  hint: install what your system calls them, then run this again" >&2
        return 1
    fi
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo > /dev/null; then
            echo "error: not root, and sudo is not installed; $why needs:$missing" >&2
            echo "  hint: as root, run: apt-get install$missing" >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "Installing with apt-get, $why:$missing"
    log=$(mktemp "${TMPDIR:-/tmp}/fournil-apt.XXXXXX")
    # A new machine has no package lists, an old one stale lists: try, update, try again.
    # shellcheck disable=SC2086
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        $missing > "$log" 2>&1; then
        if ! { $as_root apt-get update &&
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
                --no-install-recommends $missing; } > "$log" 2>&1; then
            tail -n 20 "$log" >&2
            echo "error: apt-get could not install:$missing" >&2
            rm -f "$log"
            return 1
        fi
    fi
    rm -f "$log"
}
