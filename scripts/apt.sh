#!/usr/bin/env bash
# Install Debian packages quietly, with the package lists renewed when they are old or missing: apt.sh PACKAGE...
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq -y --no-install-recommends "$@" >"$log" 2>&1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install "$@" && exit 0
for _ in 1 2; do
    apt-get update -qq >"$log" 2>&1 && install "$@" && exit 0
done
printf 'apt-get could not install %s:\n' "$*" >&2
tail -n 5 "$log" >&2
exit 1
