#!/bin/sh
# Builds what a release consists of: the source archive, the wheel made from it, a bill of materials, and their checksums.
#
#   packaging/dist.sh BIN OUTPUT
#
# BIN is the bin directory of a virtual environment with the extra `dist`; OUTPUT is made anew. Only what is committed gets in.
# The same commit gives the same source archive and wheel, byte for byte.
set -eu

bin=$(realpath -s "$1")
output=$(realpath -m "$2")
source=$(dirname "$(dirname "$(realpath "$0")")")
SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$output"
mkdir -p "$work/checkout" "$work/unpacked" "$output"
git -C "$source" archive HEAD | tar -C "$work/checkout" -x

# The backend's archive has the times and the user of whoever builds; this one has neither.
"$bin/python" -m build --sdist --outdir "$work/sdist" "$work/checkout" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
tar -C "$work/unpacked" -xf "$work"/sdist/*.tar.gz
name=$(ls "$work/unpacked")
tar -C "$work/unpacked" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u=rwX \
    --format=ustar -c "$name" | gzip -9n > "$output/$name.tar.gz"

"$bin/python" -m build --wheel --outdir "$output" "$work/unpacked/$name" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$bin/twine" check --strict "$output"/*

# What is in an environment with nothing but the wheel and all that it may need.
"$bin/python" -m venv --without-pip "$work/venv"
"$bin/pip" --python "$work/venv/bin/python" install --quiet --disable-pip-version-check \
    "$(ls "$output"/*.whl)[geoip,redis,user-agent]"
# With texts: the licence of some is told by nothing else.
"$bin/cyclonedx-py" environment --gather-license-texts --output-reproducible --output-format JSON --output-file "$output/$name.cdx.json" \
    --mc-type application "$work/venv/bin/python"

(cd "$output" && sha256sum -- * > "$work/sums" && mv "$work/sums" SHA256SUMS)
