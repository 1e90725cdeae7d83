#!/bin/sh
# Puts the documents of the checkout into a directory, as the Debian package has them in /usr/share/doc/firstseen:
#
#   packaging/deb/documents.sh OUTPUT
#
# They lie as in the checkout, and with them all that their links lead to, so that each leads there in the package as well.
set -eu

output=$(realpath -m "$1")
cd "$(dirname "$0")/../.."

for file in README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md NOTICE \
    docs/*.md docs/*.svg docs/decisions/*.md conf/fluent-bit/* conf/fluentd/* \
    packaging/prometheus/alerts.yaml packaging/grafana/firstseen.json packaging/helm/firstseen/README.md \
    tests/bench/README.md tests/bench/RESULTS.md; do
    install -D -m 644 "$file" "$output/$file"
done
