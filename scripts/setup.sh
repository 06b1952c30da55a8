#!/usr/bin/env bash
# Make the virtual environment with the pinned requirements and the project itself: setup.sh server|dev|bench.
# Does nothing when that was done before for the same requirements.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:?usage: setup.sh server|dev|bench}
requirements=requirements/$kind.txt
venv=${VENV:-.venv}
key=$(cat "$requirements" pyproject.toml | sha256sum | cut -c1-16)
stamp=$venv/.dais-$kind-$key

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

recent() { [ "$("$1" -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)" = True ]; }
complete() { "$1" -c 'import ensurepip, sqlite3, ssl, venv' 2>/dev/null; }

# The system's interpreter first: jobs run as other users, who can execute it wherever the clone lies.
candidates() {
    local name
    for name in ${PYTHON:-/usr/bin/python3 python3.13 python3.12 python3.11 python3}; do
        command -v "$name" || true
    done
}

choose_python() {
    local python incomplete=
    while read -r python; do
        recent "$python" || continue
        if complete "$python"; then
            chosen=$python
            return
        fi
        incomplete=${incomplete:-$python}
    done < <(candidates)
    [ -n "$incomplete" ] || fail "${PYTHON:+PYTHON=$PYTHON: }no Python of version 3.11 or newer was found." \
        "Install one (on Debian and Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3"
    local package
    package=$("$incomplete" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$incomplete cannot make virtual environments: installing $package with apt-get"
        scripts/apt.sh "$package" || scripts/apt.sh python3-venv || fail "apt-get could not install $package"
        complete "$incomplete" || fail "$incomplete still cannot make virtual environments after installing $package"
        chosen=$incomplete
        return
    fi
    fail "$incomplete cannot make virtual environments (its module venv, ensurepip, ssl or sqlite3 is missing)." \
        "On Debian and Ubuntu an administrator mends that with: apt-get install $package"
}

# A server that may not write here, or is told to write no bytecode, would compile five hundred files at every start.
compile_sources() { "$venv/bin/python" -m compileall -q src; }

if [ -e "$stamp" ] && compile_sources 2>/dev/null; then
    exit 0
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    choose_python
    say "making the virtual environment $venv with $chosen ($("$chosen" -V))"
    "$chosen" -m venv --clear "$venv"
fi

say "installing $(grep -c '^[a-z0-9].*==' "$requirements") pinned packages from $requirements (the first time takes a minute)"
pip_install() {
    local said
    said=$("$venv/bin/python" -m pip --disable-pip-version-check --quiet install --no-deps "$@" 2>&1) && return
    printf '%s\n' "$said" >&2
    fail "this failed, pip says why above: pip install $*" \
        "(A machine without the network needs a package index that pip is told of: PIP_INDEX_URL or pip.conf.)"
}
pip_install --require-hashes --requirement "$requirements"
pip_install --no-build-isolation --editable .

compile_sources

rm -f "$venv"/.dais-"$kind"-*
touch "$stamp"
say "done"
