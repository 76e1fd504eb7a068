# METADATA
# title: Countersign
# description: >-
#   The entry point of the policy. Allow requires a positive grant, no deny, and no outstanding obligation. Everything
#   else, including an undefined rule, is a deny or a hold.
# schemas:
#   - input: schema.input
package countersign

import data.countersign.blackouts
import data.countersign.emergency
import data.countersign.exclusive
import data.countersign.facts
import data.countersign.floors
import data.countersign.lifetimes
import data.countersign.obligations
import data.countersign.own
import data.countersign.promotion
import data.countersign.reasons
import data.countersign.requests
import data.countersign.retention
import data.countersign.roles
import data.countersign.tiers
import data.countersign.tokens
import data.countersign.windows

# METADATA
# title: Decision
# description: Effect, reasons, obligations and limits for one input document
# entrypoint: true
decision := {
	"effect": _effect,
	"reasons": sort(_reasons),
	"obligations": _obligations,
	"limits": _limits,
}

_limits := object.union(data.config.limits, {"token_ttl_s": lifetimes.ttl_s}) if input.operation == "token.exchange"

else := data.config.limits

default _effect := "deny"

_effect := "allow" if {
	_granted
	count(_denied) == 0
	count(obligations.outstanding) == 0
}

_effect := "hold" if {
	_granted
	count(_denied) == 0
	count(obligations.outstanding) > 0
}

_granted if roles.granted

_granted if tokens.exchange_granted

_granted if tokens.own_granted

_granted if requests.withdraw_granted

_denied := union({
	facts.deny,
	roles.deny,
	exclusive.deny,
	tokens.deny,
	lifetimes.deny,
	requests.deny,
	tiers.deny,
	floors.deny,
	windows.deny,
	blackouts.deny,
	emergency.deny,
	own.deny,
	promotion.deny,
	retention.deny,
})

# A deny must not depend on the evaluation of the request that it denies, so it lists no obligations.
default _obligations := []

_obligations := obligations.outstanding if _effect == "hold"

_reasons := reasons.allowed if _effect == "allow"

_reasons := reasons.held if _effect == "hold"

_reasons := _denied if {
	_effect == "deny"
	count(_denied) > 0
}

_reasons := {{
	"code": "default_deny",
	"detail": "No rule grants this.",
}} if {
	_effect == "deny"
	count(_denied) == 0
}
