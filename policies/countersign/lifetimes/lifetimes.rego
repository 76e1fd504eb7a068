# METADATA
# title: Lifetimes
# description: >-
#   The lifetimes of tokens of workloads and agents, the maximum age of a token that writes, and how long a person's
#   sign-in is accepted. For more than that, persons sign in again as tiers require; the broker's own principals use no
#   token.
# schemas:
#   - input: schema.input
package countersign.lifetimes

import data.countersign.tiers

# METADATA
# description: The lifetime in seconds of the token to be issued, by its scope and audience
ttl_s := seconds if {
	seconds := _least(_of_scope | _of_audience)
	is_number(seconds)
}

# METADATA
# description: Denies of writes with a token that is too old
# scope: document
deny contains {
	"code": "token_too_old",
	"detail": "The token is older than the tier of these flags allows. Exchange a new token, then retry.",
} if {
	input.principal.kind != "person"
	input.principal.token.issued_ms >= 0
	input.operation in {"request.propose", "request.edit", "request.schedule", "request.apply"}
	not _is_fresh
}

deny contains {
	"code": "lifetime_missing",
	"detail": "The policy defines no lifetime for this token; see config/token_lifetimes.",
} if {
	input.operation == "token.exchange"
	not ttl_s
}

deny contains {
	"code": "sign_in_too_old",
	"detail": "The sign-in is older than the policy accepts, or the provider does not say when it was. Sign in again.",
} if {
	input.principal.kind == "person"
	not input.operation in {"token.revoke", "session.end", "session.read"}
	max_age_s := data.config.token_lifetimes.sign_in
	not tiers.is_signed_in(input.principal.auth, input.clock.now_ms, {"level": 0, "max_age_s": max_age_s})
}

_of_scope contains _named("operations", operation) if some operation in input.principal.token.scope

_of_audience contains _named("audiences", "data") if startswith(input.principal.token.audience, "data:")

_of_tiers contains _named("tiers", selector[0]) if some selector in tiers.selectors

_named(what, name) := object.get(data.config.token_lifetimes[what], name, data.config.token_lifetimes["default"])

_least(seconds) := min(seconds) if count(seconds) > 0

_least(set()) := data.config.token_lifetimes["default"]

# Strictly younger: a token expires at the exact second of its `exp`.
_is_fresh if input.clock.now_ms - input.principal.token.issued_ms < _least(_of_tiers) * 1000
