#!/usr/bin/env bash
# Checks the policies, builds the module and the bundles of the examples, and prints their policy hashes.
#   policies/build.sh            writes what changed of policies/module.tar.gz and policies/examples/*/bundle.tar.gz
#   policies/build.sh --check    writes nothing; fails if one of them does not match its sources
set -euo pipefail

check_only=false
case "${1:-}" in
  "") ;;
  --check) check_only=true ;;
  *) echo "usage: policies/build.sh [--check]" >&2; exit 2 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/.cache/bin
node=$root/node_modules/.bin/node

# Every opa flag can also be set in the environment, and optimization would change the bytes.
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(OPA_|REGAL_|EXPERIMENTAL_WASM_OPT)' || true)

if ! command -v go >/dev/null; then
  echo "policies: Go 1.26 or later is required to build the pinned opa and regal (https://go.dev/dl)." >&2
  echo "policies: to run and test the broker, what is committed is enough," >&2
  echo "policies: and so it is to build a bundle with other data: countersign policy build." >&2
  exit 1
fi
if [ ! -x "$node" ]; then
  echo "policies: run npm ci first: the bundles are built by the broker's own code." >&2
  exit 1
fi

build_tool() { # name, module
  GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 \
    go build -C "$root/tools/$1" -buildvcs=false -trimpath -o "$bin/$1" "$2"
}
mkdir -p "$bin"
build_tool opa github.com/open-policy-agent/opa
build_tool regal github.com/open-policy-agent/regal

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The module contains file names, so everything runs from this directory with relative paths.
cd "$root/policies"

echo "policies: input schemas match the broker's"
for name in input access; do
  "$node" ../src/requests/input-schemas.ts "$name" | diff -u "schemas/$name.json" - || {
    echo "policies: regenerate with: node src/requests/input-schemas.ts $name > policies/schemas/$name.json" >&2
    exit 1
  }
done

echo "policies: format"
"$bin/opa" fmt --list --fail .
echo "policies: strict check"
"$bin/opa" check --strict --capabilities capabilities.json --schema schemas countersign testdata
echo "policies: lint"
"$bin/regal" lint --format compact --fail-level warning .

echo "policies: test"
run_tests() { ./test.sh "$bin/opa" "$@"; }
run_tests
run_tests --coverage --threshold 95 >"$work/coverage.json" || {
  echo "policies: less than 95 % of the rules are covered:" >&2
  # Below the threshold opa prints no report, so run it again without a threshold.
  run_tests --coverage >"$work/coverage.json"
  "$node" -e 'const report = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    for (const [name, { not_covered }] of Object.entries(report.files)) {
      for (const { start, end } of not_covered ?? []) console.error(`  ${name}:${start.row}-${end.row}`);
    }' "$work/coverage.json"
  exit 1
}

build_module() { # directory
  mkdir -p "$1"
  cp -R countersign .manifest "$1"
  (
    cd "$1"
    "$bin/opa" build -b -t wasm --prune-unused -O 0 --ignore '*_test.rego' \
      --capabilities "$root/policies/capabilities.json" \
      -e countersign/decision -e countersign/access -o ../"$(basename "$1")".tar.gz .
  )
}
echo "policies: build the module, twice"
build_module "$work/first"
build_module "$work/second"
for name in first second; do tar -xzPOf "$work/$name.tar.gz" /policy.wasm >"$work/$name.wasm"; done
cmp "$work/first.wasm" "$work/second.wasm" || { echo "policies: two builds differ" >&2; exit 1; }

echo "policies: build the examples"
"$node" build-examples.ts "$work/first.tar.gz" $($check_only && echo --check)

echo "policies: check the data of the examples"
for bundle in examples/*/bundle.tar.gz; do
  tar -xzPOf "$bundle" /data.json >"$work/data.json"
  "$bin/opa" test countersign/config "$work/data.json" || { echo "policies: the data of $bundle has faults" >&2; exit 1; }
done
