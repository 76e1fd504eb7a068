#!/usr/bin/env bash
# Compares docs/openapi.json with its former committed versions of the same major number, and fails on a change that breaks
# clients of one of them. A break that is meant raises the major number of info.version (API_VERSION in
# src/http/openapi.ts).
set -euo pipefail
cd "$(dirname "$0")/../.."
document=docs/openapi.json
bin=.cache/bin/oasdiff
most=20

if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
  echo "openapi: this clone is shallow; only the versions that it has are compared" >&2
fi

mkdir -p .cache/bin
GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 \
  go build -C tools/oasdiff -buildvcs=false -trimpath -o "$PWD/$bin" github.com/oasdiff/oasdiff
export OASDIFF_NO_TELEMETRY=1

# `accepted.txt` names what is taken for a break and is none: a kind that joins the obligations in an answer (info.description
# says that kinds may), as do lines of the inputs and reasons why a decision is not replayed, and an alternative of a request in which the list of operations grew.
compared=0
for commit in $(git log "-$most" --format=%H -- "$document"); do
  git show "$commit:$document" >.cache/openapi-base.json 2>/dev/null || continue
  cmp -s .cache/openapi-base.json "$document" && continue
  compared=$((compared + 1))
  "$bin" breaking .cache/openapi-base.json "$document" --color never \
    --err-ignore tools/oasdiff/accepted.txt --fail-on MISSING-VERSION-BUMP || {
    echo "openapi: these changes break clients of the version in ${commit:0:12}." >&2
    echo "openapi: keep the old form beside the new one, or raise the major number of API_VERSION if it is meant." >&2
    exit 1
  }
done
echo "openapi: no unmeant breaking change since $compared former versions"
