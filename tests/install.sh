#!/bin/sh
# Installs what the tests need beside Rust: Python with a venv, Node with npm, and
# in them the clients under test and llama.cpp. Quick when everything is there.
#
# Usage: tests/install.sh [bench]     `bench` also installs nginx, to compare with
set -eu
cd "$(dirname "$0")/.."

say() { echo "install: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# Which Debian packages are missing.
missing=""
python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    missing="$missing python3 python3-venv"
have node || missing="$missing nodejs"
have npm || missing="$missing npm"
# What the demo prints is run as it stands.
have curl || missing="$missing curl"
# A linker and C compiler come with most Rust toolchains; ring and zstd need them.
have cc || missing="$missing build-essential"
if [ "${1:-}" = bench ]; then
    have nginx || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
fi

if [ -n "$missing" ]; then
    if ! have apt-get; then
        say "this is not Debian or a relative of it; please install by its own means:$missing"
        exit 69
    fi
    root=""
    if [ "$(id -u)" != 0 ]; then
        if ! have sudo; then
            say "neither root nor sudo; please have these packages installed:$missing"
            exit 69
        fi
        root="sudo"
    fi
    say "Debian packages:$missing"
    $root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words on purpose
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi

# A stamp holds the requirements it was made for: a half-finished or outdated
# installation has none, or another one.
wanted=tests/sdk/requirements.txt
if ! cmp -s "$wanted" .venv/merit-installed; then
    say "Python packages into .venv"
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" .venv/merit-installed
fi

wanted=tests/sdk/node/package-lock.json
if ! cmp -s "$wanted" tests/sdk/node/node_modules/.merit-installed; then
    say "npm packages into tests/sdk/node/node_modules"
    (cd tests/sdk/node && npm ci --silent --no-audit --no-fund)
    cp "$wanted" tests/sdk/node/node_modules/.merit-installed
fi
