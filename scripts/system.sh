#!/usr/bin/env bash
# The system packages that make the sandbox of the local engine strong. Silent when all is there; never fails.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
command -v setpriv >/dev/null || missing+=(util-linux)
command -v newuidmap >/dev/null || missing+=(uidmap)
command -v pasta >/dev/null || missing+=(passt)
[ ${#missing[@]} -gt 0 ] || exit 0

say() { printf 'system: %s\n' "$*"; }
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]} with apt-get, so that jobs run in a sandbox of their own"
    scripts/apt.sh "${missing[@]}" && exit 0
fi
say "missing: ${missing[*]}"
if command -v bwrap >/dev/null; then
    say "jobs run in a sandbox all the same, with less than it could have (dais doctor tells)."
else
    say "without bubblewrap jobs are ordinary processes that see this machine's files: run only your own."
fi
if command -v apt-get >/dev/null; then
    say "An administrator mends that with: apt-get install ${missing[*]}"
else
    say "Install them with this system's package manager."
fi
