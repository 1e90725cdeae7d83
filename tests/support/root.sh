#!/bin/sh
# Makes the archive $1: a Debian of the version that this is, with the packages $2 (separated by commas) and what they need.
# Needs root and debootstrap.
set -eu

archive=$(realpath -m "$1")
[ -e "$archive" ] && exit 0
mkdir -p "$(dirname "$archive")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
debootstrap --variant=minbase --include="$2" "$codename" "$folder" > "$archive.log"
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
tar -C "$folder" -cf "$archive.new" .
mv "$archive.new" "$archive"
