#!/usr/bin/env bash
# Runs the tests of the Rego with their own data, and with what belongs to the Rego as it is. No company's data is loaded.
#   policies/test.sh OPA [option …]
set -euo pipefail
opa=$1
shift
cd "$(dirname "$0")"
data=(config:testdata/config)
for name in operations request_kinds input_version; do data+=("config.$name:starter/config/$name"); done
for file in ../fixtures/decisions/*.json; do data+=("fixtures.$(basename "$file" .json):$file"); done
"$opa" test --timeout 180s "$@" countersign "${data[@]}"
