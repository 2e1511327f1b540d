#!/usr/bin/env bash
# Installs what `make test-runtimes` needs and pip does not bring, where this is Debian or Ubuntu and
# we are root: Node.js with npm, and qemu 10 or later. What is there already stays as it is.
set -euo pipefail

least_qemu=10
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

qemu_is_there() {
    local qemu
    qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || return 1
    [ "$("$qemu" --version | sed -nE '1s/.*version ([0-9]+).*/\1/p')" -ge "$least_qemu" ]
}

# The backports suite of the release, from the same archive as the release itself. It is used for
# this one installation: the machine's sources stay as they are.
backports_source() {
    local release=$1 folder=$2
    mkdir -p "$folder/parts" "$folder/lists/partial"
    shopt -s nullglob
    cat /dev/null /etc/apt/sources.list.d/*.sources | awk -v RS= -v ORS='\n\n' -v release="$release" '
        $0 !~ "(^|\n)Suites:([^\n]* )?" release "( |\n|$)" { next }
        { sub("(^|\n)Suites:[^\n]*", "\nSuites: " release "-backports"); print }
    ' > "$folder/parts/backports.sources"
    cat /dev/null /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2> /dev/null |
        awk -v release="$release" '
            $1 != "deb" { next }
            { for (i = 2; i <= NF; i++) if ($i == release) { $i = release "-backports"; print; next } }
        ' > "$folder/parts/backports.list" || true
}

install_qemu() {
    local release candidate
    candidate=$(apt-cache policy qemu-user | sed -nE 's/ *Candidate: ([0-9]+:)?([0-9]+).*/\2/p')
    if [ "${candidate:-0}" -ge "$least_qemu" ]; then
        apt-get install -y --no-install-recommends qemu-user
        return
    fi
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    backports_source "$release" "$scratch"
    local options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$scratch/parts"
        -o "Dir::State::lists=$scratch/lists" -o "APT::Sandbox::User=root")
    apt-get "${options[@]}" update
    apt-get "${options[@]}" install -y --no-install-recommends "qemu-user/$release-backports"
}

needs_node=true needs_qemu=true
command -v node > /dev/null && command -v npm > /dev/null && needs_node=false
qemu_is_there && needs_qemu=false
[[ $(uname -m) =~ ^(aarch64|arm64)$ ]] && needs_qemu=false # it is the real thing
$needs_node || $needs_qemu || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "install Node.js with npm, and qemu-user $least_qemu or later; here only root with apt-get could" >&2
    exit 0 # the tests then say what is missing
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update
if $needs_node; then apt-get install -y --no-install-recommends nodejs npm; fi
if $needs_qemu; then install_qemu; fi
