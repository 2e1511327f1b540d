#!/usr/bin/env bash
# Installs what `make test-runtimes` needs and pip does not bring, where this is Debian or Ubuntu and
# we are root: Node.js with npm, qemu 10 or later, Chromium with its driver, and ONNX Runtime's
# headers with a compiler. What is there already stays as it is.
set -euo pipefail

least_qemu=10
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

qemu_is_there() {
    local qemu
    qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || return 1
    [ "$("$qemu" --version | sed -nE '1s/.*version ([0-9]+).*/\1/p')" -ge "$least_qemu" ]
}

# Another suite, such as the backports of the release, from the same archive as the release itself. It
# is used for this one installation: the machine's sources stay as they are.
other_source() {
    local release=$1 suite=$2 folder=$3
    mkdir -p "$folder/parts" "$folder/lists/partial"
    shopt -s nullglob
    cat /dev/null /etc/apt/sources.list.d/*.sources | awk -v RS= -v ORS='\n\n' -v release="$release" -v suite="$suite" '
        $0 !~ "(^|\n)Suites:([^\n]* )?" release "( |\n|$)" { next }
        { sub("(^|\n)Suites:[^\n]*", "\nSuites: " suite); print }
    ' > "$folder/parts/other.sources"
    cat /dev/null /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2> /dev/null |
        awk -v release="$release" -v suite="$suite" '
            $1 != "deb" { next }
            { for (i = 2; i <= NF; i++) if ($i == release) { $i = suite; print; next } }
        ' > "$folder/parts/other.list" || true
}

install_qemu() {
    local release candidate
    candidate=$(apt-cache policy qemu-user | sed -nE 's/ *Candidate: ([0-9]+:)?([0-9]+).*/\2/p')
    if [ "${candidate:-0}" -ge "$least_qemu" ]; then
        apt-get install -y --no-install-recommends qemu-user
        return
    fi
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    other_source "$release" "$release-backports" "$scratch"
    local options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$scratch/parts"
        -o "Dir::State::lists=$scratch/lists" -o "APT::Sandbox::User=root")
    apt-get "${options[@]}" update
    apt-get "${options[@]}" install -y --no-install-recommends "qemu-user/$release-backports"
}

# Debian has the browser as a package, Ubuntu as a snap behind one.
install_browser() {
    local debian=(chromium chromium-driver fonts-liberation)
    if apt-cache show chromium-driver > /dev/null 2>&1; then
        apt-get install -y --no-install-recommends "${debian[@]}"
    else
        apt-get install -y chromium-browser chromium-chromedriver
    fi
}

headers=${XDG_CACHE_HOME:-$HOME/.cache}/legoexport/onnxruntime-headers

# Debian has them since version 13; they are unpacked beside the machine's own packages.
install_headers() {
    local release options=()
    if [ -z "$(apt-cache madison libonnxruntime-dev)" ]; then
        release=$(. /etc/os-release && echo "$VERSION_CODENAME")
        mkdir -p "$scratch/headers"
        other_source "$release" trixie "$scratch/headers"
        options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$scratch/headers/parts"
            -o "Dir::State::lists=$scratch/headers/lists" -o "APT::Sandbox::User=root")
        apt-get "${options[@]}" update
    fi
    command -v g++ > /dev/null || apt-get install -y --no-install-recommends g++
    (cd "$scratch" && apt-get "${options[@]}" -o "APT::Sandbox::User=root" download libonnxruntime-dev) &&
        mkdir -p "$headers" && dpkg -x "$scratch"/libonnxruntime-dev_*.deb "$headers"
}

needs_node=true needs_qemu=true needs_browser=true needs_headers=true
command -v node > /dev/null && command -v npm > /dev/null && needs_node=false
qemu_is_there && needs_qemu=false
[[ $(uname -m) =~ ^(aarch64|arm64)$ ]] && needs_qemu=false # it is the real thing
for browser in chromium google-chrome chromium-browser; do
    command -v "$browser" > /dev/null && command -v chromedriver > /dev/null && needs_browser=false
done
{ [ -d /usr/include/onnxruntime ] || [ -d "$headers/usr" ]; } && command -v g++ > /dev/null &&
    needs_headers=false
$needs_node || $needs_qemu || $needs_browser || $needs_headers || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "install Node.js with npm, qemu-user $least_qemu or later, Chromium with chromedriver, and g++" \
        "with libonnxruntime-dev; here only root with apt-get could" >&2
    exit 0 # the tests then say what is missing
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update
if $needs_node; then apt-get install -y --no-install-recommends nodejs npm; fi
if $needs_qemu; then install_qemu; fi
if $needs_browser; then install_browser; fi
# Without them one test is skipped, which says so: not every distribution has them.
if $needs_headers; then install_headers || echo "no headers of ONNX Runtime for C++ here" >&2; fi
