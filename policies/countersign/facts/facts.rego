# METADATA
# title: Facts
# description: Denies an incomplete input, so that a missing fact never removes a requirement.
# schemas:
#   - input: schema.input
package countersign.facts

import data.countersign.asked

# METADATA
# description: Denies of incomplete inputs
# scope: document
deny contains _missing_fact("schema_version") if not _has_version

deny contains _missing_fact("clock.now_ms") if not _has_now

deny contains _missing_fact("emergency") if not _has_emergency

deny contains _missing_fact("request") if {
	asked.at == "request"
	not _has_request
}

deny contains _missing_fact("request") if {
	input.operation == "request.withdraw"
	not _has_request
}

deny contains _missing_fact("request.changes") if {
	asked.at == "request"
	input.request.kind == "flag.change"
	not _has_changes
}

deny contains _missing_fact("request.object") if {
	input.request.kind != "flag.change"
	asked.at == "request"
	not _has_object
}

deny contains _missing_fact("revocation") if {
	input.operation in {"revocation.add", "revocation.preview"}
	not _has_revocation
}

deny contains _missing_fact("environment") if {
	asked.at == "request"
	not _has_environment
	some change in input.request.changes
	change.facts.scope == "state"
}

deny contains _missing_fact("request.changes.facts") if {
	some change in input.request.changes
	not _is_judged(change)
}

# A request that was proposed before these facts were known can still be voted on; it gets them before it is applied.
deny contains _missing_fact("request.changes.facts") if {
	input.operation in {"request.propose", "request.apply", "breakglass.apply"}
	some change in input.request.changes
	not _is_weighed(change)
}

deny contains {
	"code": "unknown_environment",
	"detail": concat(" ", ["Unknown environment", input.environment.key, "(see config/environments)."]),
} if {
	not input.operation in {"request.withdraw", "request.expire"}
	_has_environment
	not data.config.environments[input.environment.key]
}

_missing_fact(name) := {
	"code": "missing_fact",
	"detail": concat(" ", ["The input lacks a required fact:", name]),
}

# A negated call with an undefined argument is undefined, not true, so each fact has its own rule.
_has_version if input.schema_version == 2

_has_now if is_number(input.clock.now_ms)

_has_emergency if is_boolean(input.emergency.frozen)

_has_request if is_object(input.request)

_has_object if is_string(input.request.object.type)

_has_revocation if {
	input.revocation.kind != ""
	trim_space(input.revocation.value) != ""
}

_has_environment if is_string(input.environment.key)

# regal ignore:narrow-argument
_is_judged(change) if {
	change.facts.direction in {"on", "off", "widen", "narrow", "neutral"}
	change.facts.scope in {"state", "definition"}
	is_boolean(change.facts.audience_grew)
	is_boolean(change.facts.exception_used)
	is_array(change.facts.organizations_added)
	is_array(change.facts.organizations_removed)
	_is_tier_or_null(change.facts.tier_lowered_from)
	is_string(change.flag.tier)
	_is_classified(change)
}

# A definition has a tier and a kind, and so has the one before it.
_is_classified(change) if change.facts.scope == "state"

_is_classified(change) if {
	change.facts.scope == "definition"
	_has_classes(change.after)
	_has_former_classes(change)
}

_has_former_classes(change) if change.action == "create"

_has_former_classes(change) if _has_classes(change.before)

_has_classes(definition) if {
	is_string(definition.tier)
	is_string(definition.kind)
}

# regal ignore:narrow-argument
_is_weighed(change) if {
	is_boolean(change.facts.safe)
	is_array(change.facts.swaps)
	is_array(change.facts.organizations_named)
	is_boolean(change.facts.reaches_everybody)
}

_is_tier_or_null(null)

_is_tier_or_null(tier) if is_string(tier)

_has_changes if count(input.request.changes) > 0
