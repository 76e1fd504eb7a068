# METADATA
# title: Lifetimes
# description: >-
#   How long tokens of workloads and agents live, and how fresh one has to be to write. Persons sign in again instead,
#   as tiers ask; the broker's own principals show no token.
# schemas:
#   - input: schema.input
package countersign.lifetimes

import data.countersign.tiers

# METADATA
# description: Seconds that the token lives that is being exchanged, by its scope and audience
ttl_s := seconds if {
	seconds := _least(_of_scope | _of_audience)
	is_number(seconds)
}

# METADATA
# description: What stands against writing with a token that is not fresh enough
# scope: document
deny contains {
	"code": "token_too_old",
	"detail": "The token is older than the tier of these flags allows; exchange a new one and call again.",
} if {
	input.principal.kind != "person"
	input.principal.token.issued_ms >= 0
	input.operation in {"request.propose", "request.edit", "request.schedule", "request.apply"}
	not _is_fresh
}

deny contains {
	"code": "lifetime_missing",
	"detail": "The policy does not say how long this token may live; see config/token_lifetimes.",
} if {
	input.operation == "token.exchange"
	not ttl_s
}

_of_scope contains _named("operations", operation) if some operation in input.principal.token.scope

_of_audience contains _named("audiences", "data") if startswith(input.principal.token.audience, "data:")

_of_tiers contains _named("tiers", selector[0]) if some selector in tiers.selectors

_named(what, name) := object.get(data.config.token_lifetimes[what], name, data.config.token_lifetimes["default"])

_least(seconds) := min(seconds) if count(seconds) > 0

_least(set()) := data.config.token_lifetimes["default"]

# Not while it is as old as that: a token ends at the second that it is named with.
_is_fresh if input.clock.now_ms - input.principal.token.issued_ms < _least(_of_tiers) * 1000
