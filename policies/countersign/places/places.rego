# METADATA
# title: Places
# description: >-
#   The places of an operation: pairs of namespace and environment. Null in a pair means all, which only a binding to
#   "*" covers.
# schemas:
#   - input: schema.input
package countersign.places

import data.countersign.asked

# METADATA
# description: The places where the caller needs a role, for operations that require one in each place
# scope: document
required contains place if {
	input.request.kind == "flag.change"
	some change in input.request.changes
	some environment in _environments(change.facts.scope)
	place := {"namespace": change.flag.namespace, "environment": environment}
}

required contains _covered(input.request.object) if {
	data.config.request_kinds[input.request.kind].place == "object"
}

required contains {"namespace": null, "environment": null} if {
	data.config.request_kinds[input.request.kind].place == "everywhere"
}

required contains _covered(input.emergency.engage) if input.operation == "freeze.engage"

required contains {"namespace": null, "environment": null} if {
	asked.at == "everywhere"
}

# METADATA
# description: The namespaces that a read shows; null if it names none
# scope: document
seen_namespaces contains input.namespace if input.namespace != null

seen_namespaces contains change.flag.namespace if some change in input.request.changes

# METADATA
# description: The environment that the operation names, or null
# scope: document
default environment := null

environment := input.environment.key

# A definition applies to every environment, whichever one the request names.
_environments("definition") := object.keys(data.config.environments)

_environments("state") := [input.environment.key]

_covered(freeze) := {"namespace": null, "environment": null} if freeze.scope == "all"

_covered(freeze) := {"namespace": null, "environment": freeze.environment} if freeze.scope == "environment"

_covered(freeze) := {
	"namespace": freeze.namespace,
	"environment": freeze.environment,
} if {
	freeze.scope in {"namespace", "flag"}
}
