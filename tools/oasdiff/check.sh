#!/usr/bin/env bash
# Compares docs/openapi.json with its last committed version, and fails on a change that breaks clients, unless the major
# number of info.version was raised (API_VERSION in src/http/openapi.ts).
set -euo pipefail
cd "$(dirname "$0")/../.."
document=docs/openapi.json
bin=.cache/bin/oasdiff

# The last committed version that differs from the file: of HEAD for an edit, else the one before.
find_base() {
  local commit
  if ! git diff --quiet HEAD -- "$document"; then
    git rev-parse HEAD
    return
  fi
  commit=$(git log -1 --format=%H -- "$document")
  git rev-parse --verify --quiet "$commit^" || true
}

base=$(find_base)
if [ -z "$base" ] || ! git cat-file -e "$base:$document" 2>/dev/null; then
  echo "openapi: no earlier version of $document to compare with"
  exit 0
fi

mkdir -p .cache/bin
GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 \
  go build -C tools/oasdiff -buildvcs=false -trimpath -o "$PWD/$bin" github.com/oasdiff/oasdiff
git show "$base:$document" >.cache/openapi-base.json
export OASDIFF_NO_TELEMETRY=1
"$bin" breaking .cache/openapi-base.json "$document" --color never --fail-on MISSING-VERSION-BUMP || {
  echo "openapi: these changes break clients of the version in ${base:0:12}." >&2
  echo "openapi: keep the old form beside the new one, or raise the major number of API_VERSION if it is meant." >&2
  exit 1
}
echo "openapi: no unmeant breaking change since ${base:0:12}"
