# METADATA
# title: Roles
# description: Derives roles from the bindings, and checks whether the caller holds one that grants the operation.
# schemas:
#   - input: schema.input
package countersign.roles

import data.countersign.asked
import data.countersign.places

# METADATA
# description: The current bindings of a principal. Looked up by key, without iterating over all bindings.
bindings(principal) := [binding | some source in sources(principal); some binding in source.bindings]

# METADATA
# description: >-
#   The sources of a principal's current bindings: `by` group, claim, trust_rule or principal, the issuer or null, the
#   key, and the bindings under it
sources(principal) := array.concat(
	array.concat(_by_group(principal), _by_claim(principal)),
	array.concat(_by_trust_rule(principal), _by_id(principal.kind, principal.id)),
)

# METADATA
# description: >-
#   Whether a principal's groups and claims are those last known, so that a lost role does not count. They must be
#   where a request is applied; workloads have their roles by their trust rule.
# scope: document
is_as_last_known(_) if input.operation != "request.apply"

is_as_last_known(principal) if principal.kind == "workload"

is_as_last_known(principal) if is_number(principal.groups_seen_ms)

# METADATA
# description: The caller's bindings
caller := bindings(input.principal)

# METADATA
# description: Whether some binding grants one of the roles at one place
holds(list, roles, place) if {
	some binding in list
	covers(binding.namespaces, place.namespace)
	covers(binding.environments, place.environment)
	some role in binding.roles
	role in roles
}

# METADATA
# description: Whether the bindings grant one of the roles at each of the places. False if there are no places.
holds_at_all(list, roles, places_needed) if {
	count(places_needed) > 0
	every place in places_needed {
		holds(list, roles, place)
	}
}

# METADATA
# description: Whether the bindings represent an organization at each of the places
speaks_for(list, organization, places_needed) if {
	own := [binding |
		some binding in list
		covers(binding.organizations, organization)
	]
	holds_at_all(own, ["account-approver"], places_needed)
}

# METADATA
# description: Whether a list of names contains a name, or "*"
# scope: document
covers(list, _) if "*" in list

covers(list, name) if name in list

# METADATA
# description: The roles that grant an operation on a kind of request
# scope: document
granting(operation, kind) := list if list := data.config.request_kinds[kind].roles[operation]

else := list if list := data.config.operations[operation].roles[kind]

else := data.config.operations[operation].roles.any

# METADATA
# description: The caller holds a role that grants the operation in every required place
# scope: document
granted if {
	asked.at in {"request", "freeze", "everywhere"}
	holds_at_all(caller, _granting, places.required)
}

granted if {
	asked.at == "somewhere"
	_holds_somewhere
}

granted if {
	asked.at == "seen"
	_sees_somewhere
	every namespace in places.seen_namespaces {
		_sees(namespace)
	}
}

# METADATA
# description: Denies of callers without the required roles
# scope: document
deny contains {
	"code": "unknown_operation",
	"detail": "The policy does not have this operation; add it to config/operations.",
} if {
	not asked.row
}

deny contains {
	"code": "unknown_principal",
	"detail": "No role binding matches this principal, its groups, claims or trust rule. Request a binding.",
} if {
	not asked.at in {"own", "none"}
	count(caller) == 0
}

deny contains {
	"code": "role_missing",
	"detail": concat(" ", [
		"The operation requires one of these roles in every namespace and environment that it touches:",
		concat(", ", _granting),
	]),
} if {
	not asked.at in {"own", "none"}
	count(caller) > 0
	not granted
}

_kind := input.request.kind if input.request != null

_kind := "any" if input.request == null

default _granting := []

_granting := granting(input.operation, _kind)

_holds_somewhere if {
	some binding in caller
	some role in binding.roles
	role in _granting
}

_sees_somewhere if {
	some binding in caller
	_sees_environment(binding.environments)
	some role in binding.roles
	role in _granting
}

_sees(namespace) if {
	some binding in caller
	covers(binding.namespaces, namespace)
	_sees_environment(binding.environments)
	some role in binding.roles
	role in _granting
}

_sees_environment(_) if places.environment == null

_sees_environment(environments) if covers(environments, places.environment)

_by_group(principal) := [{"by": "group", "issuer": principal.issuer, "key": group, "bindings": list} |
	principal.kind in {"person", "agent"}
	groups := data.config.role_bindings.groups[principal.issuer]
	some group in principal.groups
	list := groups[group]
]

_by_claim(principal) := [source |
	principal.kind in {"person", "agent"}
	some claim, values in data.config.role_bindings.claims[principal.issuer]
	value := principal.claims[claim]
	list := values[value]
	source := {"by": "claim", "issuer": principal.issuer, "key": concat("=", [claim, value]), "bindings": list}
]

_by_trust_rule(principal) := [{"by": "trust_rule", "issuer": null, "key": name, "bindings": list} |
	principal.kind == "workload"
	name := principal.token.trust_rule
	list := data.config.role_bindings.trust_rules[name]
]

# An agent has what its sponsor's groups and claims grant, and nothing by its own id.
_by_id(kind, id) := [{"by": "principal", "issuer": null, "key": id, "bindings": list} |
	kind != "agent"
	list := data.config.role_bindings.principals[id]
]
