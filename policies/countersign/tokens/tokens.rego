# METADATA
# title: Tokens
# description: >-
#   Limits of the token that the caller shows: its audience, its scope, and for workloads the grant of the trust rule
#   that it was issued under. A token never widens a role; these rules only deny.
# schemas:
#   - input: schema.input
package countersign.tokens

import data.countersign.places
import data.countersign.roles

# METADATA
# description: Operations that only a person may ask for
persons_only := {
	"request.approve",
	"request.reject",
	"freeze.engage",
	"breakglass.open",
	"breakglass.apply",
	"breakglass.close",
	"key.rotate",
	"policy.activate",
}

# METADATA
# description: A workload with a known trust rule may exchange its platform's token
exchange_granted if {
	input.operation == "token.exchange"
	input.principal.kind == "workload"
	data.config.trust_rules[input.principal.token.trust_rule]
}

# METADATA
# description: What stands against the caller's token
# scope: document
deny contains {
	"code": "not_a_person",
	"detail": "Only a person may do this; workloads and agents never approve and never open emergency powers.",
} if {
	_needs_person
	input.principal.kind != "person"
}

deny contains {
	"code": "token_audience",
	"detail": concat(" ", [
		"This token is for another audience; the operation takes:",
		concat(", ", data.config.operations[input.operation].audiences),
	]),
} if {
	input.operation != "token.exchange"
	not _fits_audience
}

deny contains {
	"code": "token_scope",
	"detail": "The token's scope does not have this operation; exchange a token with a scope that has it.",
} if {
	input.operation != "token.exchange"
	count(input.principal.token.scope) > 0
	not input.operation in input.principal.token.scope
}

deny contains {
	"code": "unknown_trust_rule",
	"detail": "The policy has no trust rule of this name; it may have been removed since the token was issued.",
} if {
	input.principal.kind == "workload"
	not _known_workload
}

deny contains {
	"code": "trust_rule_operation",
	"detail": "The trust rule does not grant this operation; add it to grant.operations in the policy.",
} if {
	input.operation != "token.exchange"
	_grant
	not _grants_operation
}

deny contains {
	"code": "trust_rule_place",
	"detail": "The trust rule does not reach every namespace and environment that this touches; see its grant.",
} if {
	input.operation != "token.exchange"
	_grant
	some place in _touched
	not _grants(place)
}

deny contains {
	"code": "trust_rule_place",
	"detail": "The trust rule does not reach every namespace and environment that this touches; see its grant.",
} if {
	data.config.operations[input.operation].at == "seen"
	places.environment != null
	_grant
	not _grants_environment(places.environment)
}

# METADATA
# description: >-
#   Whether a workload's trust rule grants an operation at each of the places today. True for other principals.
# scope: document
grants_at_all(principal, _, _) if principal.kind != "workload"

grants_at_all(principal, _, _) if {
	principal.token.trust_rule == null
	data.config.role_bindings.principals[principal.id]
}

grants_at_all(principal, operation, touched) if {
	grant := data.config.trust_rules[principal.token.trust_rule].grant
	operation in grant.operations
	every place in touched {
		roles.covers(grant.namespaces, place.namespace)
		roles.covers(grant.environments, place.environment)
	}
}

_needs_person if input.operation in persons_only

_needs_person if {
	input.operation == "request.propose"
	input.request.kind == "freeze.lift"
}

# The broker's own principals are named in the bindings; every other workload comes by a trust rule.
_known_workload if {
	input.principal.token.trust_rule == null
	input.operation != "token.exchange"
	data.config.role_bindings.principals[input.principal.id]
}

_known_workload if data.config.trust_rules[input.principal.token.trust_rule]

_grant := data.config.trust_rules[input.principal.token.trust_rule].grant if input.principal.kind == "workload"

_touched contains place if {
	data.config.operations[input.operation].at in {"request", "freeze", "everywhere", "none"}
	some place in places.required
}

_touched contains {"namespace": namespace, "environment": places.environment} if {
	data.config.operations[input.operation].at == "seen"
	some namespace in places.seen_namespaces
}

_fits_audience if input.principal.token.audience in data.config.operations[input.operation].audiences

_grants_operation if input.operation in _grant.operations

_grants(place) if {
	roles.covers(_grant.namespaces, place.namespace)
	_grants_environment(place.environment)
}

_grants_environment(environment) if roles.covers(_grant.environments, environment)

# A read that names no environment is about the namespace, which the caller of this rule has checked.
_grants_environment(null) if {
	data.config.operations[input.operation].at == "seen"
}
