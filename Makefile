.DEFAULT_GOAL := help
SHELL := /bin/bash
# Everything runs on the Node version that the lock file pins, whatever the system has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# What many processes load is compiled once.
export NODE_COMPILE_CACHE ?= $(CURDIR)/.cache/node

##@ Start here
.PHONY: demo test
demo: console ## Play a story on real processes, then keep them running (DEMO_EXIT=1: exit after it)
	@node fixtures/demo/main.ts
test: console ## Run all tests
	@vitest run

##@ Develop
.PHONY: dev policies docs lint format typecheck bench package screenshots test-cluster
dev: console ## Run identity provider, CI issuer and broker, restarting the broker when its code changes
	@node fixtures/demo/dev.ts
policies: setup ## Check, test and build the Rego policies (needs Go >= 1.26); prints the policy hash
	@policies/build.sh
docs: setup ## Write docs/openapi.json and the reference pages in docs from the lists in the code
	@vitest run --reporter=dot test/docs/generated.test.ts --update
lint: setup ## Check style, formatting and the wording of texts
	@biome check --error-on-warnings .
	@vitest run --reporter=dot test/text.test.ts
format: setup ## Fix formatting, and what can be fixed of style
	@biome check --write .
typecheck: setup ## Check types
	@npm run --silent typecheck
bench: setup ## Measure against minimal programs of the same work; writes bench/last.md (QUICK=1: short, not kept; PEERS=1: also against other products)
	@node bench/main.ts $(if $(QUICK),--quick) $(if $(PEERS),--peers)
test-cluster: setup ## Kill the primary of PostgreSQL servers again and again while clients write; the long model test (minutes)
	@COUNTERSIGN_TEST_CLUSTER=1 vitest run --project postgres --reporter=verbose test/requests/model.test.ts
	@COUNTERSIGN_TEST_CLUSTER=1 vitest run --project sqlite --reporter=verbose test/store/postgres/failover.test.ts test/cluster
screenshots: console ## Take pictures of every page of the console into .cache/screenshots (needs Chromium)
	@node test/console/screenshots.ts
package: setup ## Build the npm package (npm pack)
	@npm run --silent build && npm pack

##@ Before you push
.PHONY: verify clean setup
verify: setup ## All checks: types, style, policies rebuilt and compared, tests, the demo, the benchmark's short form
	@.ci/verify
clean: ## Remove what was built and installed
	@rm -rf node_modules dist .cache .demo countersign-*.tgz

# The web console, built if it is missing or of other sources.
.PHONY: console
console: setup
	@node tools/console/build.ts

setup: node_modules/.package-lock.json
node_modules/.package-lock.json: package.json package-lock.json
	@echo "installing dependencies …"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
