# METADATA
# title: Tokens
# description: >-
#   Limits of the caller's token: its audience, its scope, and for workloads and agents the grant of the trust rule
#   under which it was issued. A token never widens a role; these rules only deny.
# schemas:
#   - input: schema.input
package countersign.tokens

import data.countersign.asked
import data.countersign.persons
import data.countersign.places
import data.countersign.roles

# METADATA
# description: Whether the policy's data opens an operation to this kind of principal
# scope: document
is_open_to(principal, operation) if principal.kind in data.config.operations[operation].by

is_open_to(principal, operation) if {
	"broker" in data.config.operations[operation].by
	is_own(principal)
}

# METADATA
# description: Everybody may revoke their own token, and persons may manage their own sessions
own_granted if {
	asked.at == "own"
	is_open_to(input.principal, input.operation)
}

# METADATA
# description: A principal with a trust rule may exchange the platform's token
exchange_granted if {
	input.operation == "token.exchange"
	_rule
}

# METADATA
# description: >-
#   A person may exchange their sign-in for a token that reads flags, if the policy opens the exchange to persons. The
#   broker asks for flag.read in each namespace of that token, too.
exchange_granted if {
	input.operation == "token.exchange"
	input.principal.kind == "person"
	is_open_to(input.principal, "token.exchange")
	startswith(input.principal.token.audience, "data:")
}

# METADATA
# description: >-
#   The current trust rule of a workload or an agent. Undefined for everybody else, and if the rule was removed or is
#   for the other kind.
# scope: document
rule_of(principal) := rule if {
	rule := data.config.trust_rules[principal.token.trust_rule]
	rule.kind == principal.kind
}

rule_of(principal) := rule if {
	principal.kind == "workload"
	rule := data.config.trust_rules[principal.token.trust_rule]
	not rule.kind
}

# METADATA
# description: Whether a principal is one of the broker's own, which no trust rule can name
is_own(principal) if {
	principal.kind == "workload"
	principal.token.trust_rule == null
	startswith(principal.id, "workload:countersign:")
}

# METADATA
# description: Denies because of the caller's token
# scope: document
deny contains {
	"code": "not_a_person",
	"detail": "Only a person may do this. Workloads and agents never approve and never use emergency operations.",
} if {
	input.principal.kind != "person"
	_needs_person
}

deny contains {
	"code": "token_audience",
	"detail": concat(" ", [
		"The token is for another audience. The operation accepts:",
		concat(", ", asked.row.audiences),
	]),
} if {
	not _fits_audience
	not _is_exempt
}

deny contains {
	"code": "token_scope",
	"detail": "The token's scope does not include this operation. Exchange a token with a scope that does.",
} if {
	count(input.principal.token.scope) > 0
	not input.operation in input.principal.token.scope
	not _is_exempt
}

deny contains {
	"code": "unknown_trust_rule",
	"detail": concat(" ", [
		"The policy has no trust rule with this name for this kind of principal.",
		"It may have been removed since the token was issued.",
	]),
} if {
	input.principal.kind != "person"
	input.operation != "token.revoke"
	not _is_known
}

deny contains {
	"code": "agent_without_person",
	"detail": "An agent acts for a person, but the token names none. Exchange it together with the person's own token.",
} if {
	input.principal.kind == "agent"
	input.operation != "token.revoke"
	not persons.human(input.principal)
}

deny contains {
	"code": "trust_rule_operation",
	"detail": "The trust rule does not grant this operation. Add it to grant.operations in the policy.",
} if {
	_grant
	not _is_exempt
	not _grants_operation
}

deny contains {
	"code": "trust_rule_place",
	"detail": "The trust rule does not cover every namespace and environment that this touches; see its grant.",
} if {
	_grant
	not _is_exempt
	some place in _touched
	not _grants(place)
}

deny contains {
	"code": "trust_rule_place",
	"detail": "The trust rule does not cover every namespace and environment that this touches; see its grant.",
} if {
	asked.at == "seen"
	places.environment != null
	_grant
	not _grants_environment(places.environment)
}

# METADATA
# description: >-
#   Whether the trust rule of a workload or an agent grants an operation at each of the places today. True for persons.
# scope: document
grants_at_all(principal, _, _) if principal.kind == "person"

grants_at_all(principal, _, _) if {
	principal.kind == "workload"
	principal.token.trust_rule == null
	data.config.role_bindings.principals[principal.id]
}

grants_at_all(principal, operation, touched) if {
	grant := rule_of(principal).grant
	operation in grant.operations
	every place in touched {
		roles.covers(grant.namespaces, place.namespace)
		roles.covers(grant.environments, place.environment)
	}
}

# An operation whose data does not say who may use it is only for persons.
_needs_person if {
	asked.row
	not _is_for_machines
	not is_open_to(input.principal, input.operation)
}

_needs_person if {
	data.config.request_kinds[input.request.kind].persons_only
	input.operation in {"request.propose", "request.edit", "request.schedule"}
}

_is_for_machines if {
	kinds := asked.row.by
	not "person" in kinds
}

# The purpose of a token limits neither the exchange that issues it, nor its revocation by the holder.
_is_exempt if input.operation in {"token.exchange", "token.revoke"}

# The broker's own principals are named in the bindings; every other workload, and every agent, has a trust rule.
_is_known if {
	input.principal.kind == "workload"
	input.principal.token.trust_rule == null
	input.operation != "token.exchange"
	data.config.role_bindings.principals[input.principal.id]
}

_is_known if _rule

_rule := rule_of(input.principal)

_grant := _rule.grant

_touched contains place if {
	asked.at in {"request", "freeze", "everywhere", "own", "none"}
	some place in places.required
}

_touched contains {"namespace": namespace, "environment": places.environment} if {
	asked.at == "seen"
	some namespace in places.seen_namespaces
}

_fits_audience if input.principal.token.audience in asked.row.audiences

_grants_operation if input.operation in _grant.operations

_grants(place) if {
	roles.covers(_grant.namespaces, place.namespace)
	_grants_environment(place.environment)
}

_grants_environment(environment) if roles.covers(_grant.environments, environment)

# A read without an environment is about the namespace, which the caller of this rule has checked.
_grants_environment(null) if {
	asked.at == "seen"
}
