# METADATA
# title: Grants
# description: >-
#   Who can do what, by the same bindings and trust rules that decide. The limits of a token (scope, audience) and the
#   requirements of a request are not included. Linear in the principals and their bindings.
# schemas:
#   - input: schema.access
package countersign.grants

import data.countersign.persons
import data.countersign.roles
import data.countersign.tokens

# METADATA
# description: >-
#   What each principal of the input can do, in each environment, and by which binding. Sorted separately for each
#   principal, because the engine sorts long lists slowly.
held := [grant |
	some principal in input.principals
	reach := _reach(principal)
	some source in sort({source | some source in roles.sources(principal)})
	some index, binding in source.bindings
	environments := sort(_environments(binding.environments, reach.environments))
	namespaces := sort(_namespaces(binding.namespaces, reach.namespaces))
	name := _name(source, index)
	some capability in sort(_capabilities(binding, reach))
	some environment in environments
	some namespace in namespaces
	grant := {
		"principal": principal.id,
		"capability": capability,
		"environment": environment,
		"namespace": namespace,
		"binding": name,
	}
]

# METADATA
# description: Every binding of the data with what it grants, with or without holders
bindings := [object.union(_name(source, index), what) |
	some source in _sources
	reach := _reach(_holder(source))
	some index, binding in source.bindings
	what := {
		"capabilities": sort(_capabilities(binding, reach)),
		"environments": sort(_environments(binding.environments, reach.environments)),
		"namespaces": sort(_namespaces(binding.namespaces, reach.namespaces)),
	}
]

_name(source, index) := {"by": source.by, "issuer": source.issuer, "key": source.key, "index": index}

# The roles that grant the operations that indicate a capability: on any kind of request, or on a change of flags.
_granting[operation] := roles.granting(operation, "flag.change") if {
	some operation, about in data.config.operations
	about.shows
}

_capabilities(binding, reach) := {data.config.operations[operation].shows |
	some operation in reach.operations
	_is_wide_enough(operation, binding, reach)
	some role in binding.roles
	role in _granting[operation]
}

_is_wide_enough(operation, _, _) if data.config.operations[operation].at != "everywhere"

_is_wide_enough(_, binding, reach) if {
	every names in [binding.namespaces, binding.environments, reach.namespaces, reach.environments] {
		"*" in names
	}
}

# The upper limit of what a principal can do, with any roles.
_reach(principal) := {"operations": _open_to[principal.kind], "environments": ["*"], "namespaces": ["*"]} if {
	_comes_by_no_rule(principal)
}

else := {"operations": operations, "environments": grant.environments, "namespaces": grant.namespaces} if {
	_has_person_if_needed(principal)
	grant := tokens.rule_of(principal).grant
	operations := (_open_to[principal.kind] & _usable(grant)) - _closed_to(principal)
}

else := {"operations": set(), "environments": [], "namespaces": []}

_comes_by_no_rule(principal) if principal.kind == "person"

_comes_by_no_rule(principal) if {
	principal.kind == "workload"
	principal.token.trust_rule == null
}

_open_to[kind] := operations if {
	some kind in {"person", "workload", "agent"}
	operations := {operation | some operation, _ in _granting; kind in data.config.operations[operation].by}
}

_has_person_if_needed(principal) if principal.kind == "workload"

_has_person_if_needed(principal) if persons.human(principal)

_usable(grant) := {operation |
	some operation in grant.operations
	some audience in grant.audiences
	audience in data.config.operations[operation].audiences
}

_closed_to(principal) := set() if persons.is_known(principal)

else := {"request.propose"}

_environments(bound, reached) := {environment |
	some environment, _ in data.config.environments
	roles.covers(bound, environment)
	roles.covers(reached, environment)
}

# The intersection with "*" is the other list; only if both sides have "*" is it "*".
_namespaces(bound, reached) := {namespace |
	some namespace in array.concat(bound, reached)
	roles.covers(bound, namespace)
	roles.covers(reached, namespace)
	_is_plain(namespace, bound, reached)
}

_is_plain("*", _, _)

_is_plain(name, bound, reached) if {
	name != "*"
	not _is_every(bound, reached)
}

_is_every(bound, reached) if {
	"*" in bound
	"*" in reached
}

_sources := array.concat(
	array.concat(_of_groups, _of_claims),
	array.concat(_of_keys("trust_rule", "trust_rules"), _of_keys("principal", "principals")),
)

_of_groups := [{"by": "group", "issuer": issuer, "key": group, "bindings": groups[group]} |
	some issuer in sort(object.keys(data.config.role_bindings.groups))
	groups := data.config.role_bindings.groups[issuer]
	some group in sort(object.keys(groups))
]

_of_claims := [{"by": "claim", "issuer": issuer, "key": concat("=", [claim, value]), "bindings": values[value]} |
	some issuer in sort(object.keys(data.config.role_bindings.claims))
	claims := data.config.role_bindings.claims[issuer]
	some claim in sort(object.keys(claims))
	values := claims[claim]
	some value in sort(object.keys(values))
]

_of_keys(by, what) := [{"by": by, "issuer": null, "key": key, "bindings": lists[key]} |
	lists := data.config.role_bindings[what]
	some key in sort(object.keys(lists))
]

# A sample holder of a source's bindings, with the maximum reach.
_holder(source) := {"kind": "person"} if source.by in {"group", "claim"}

_holder(source) := _workload(source.key) if source.by == "trust_rule"

_holder(source) := _named(source.key) if source.by == "principal"

# The second part of a workload's id is its trust rule. A binding to the id of an agent grants nothing.
_named(id) := {"kind": "person"} if startswith(id, "person:")

else := _workload(null) if startswith(id, "workload:countersign:")

else := _workload(split(id, ":")[1]) if startswith(id, "workload:")

else := {"kind": "agent", "person": null}

_workload(rule) := {"kind": "workload", "person": null, "token": {"trust_rule": rule}}
