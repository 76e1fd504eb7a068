# METADATA
# title: Exclusive roles
# description: >-
#   Roles that nobody may use while they hold another one in the same place. Nobody decides about their own requests
#   anyway; this keeps duties apart. It only denies.
# schemas:
#   - input: schema.input
package countersign.exclusive

import data.countersign.places
import data.countersign.roles

# METADATA
# description: Denies of callers who hold roles that exclude each other
# scope: document
deny contains {
	"code": "exclusive_roles",
	"detail": concat(" ", [
		"These roles exclude each other, and the caller holds all of them here:",
		concat("", [concat(", ", exclusive), "."]),
		"Leave one of the groups that grant them.",
	]),
} if {
	input.operation in {"request.propose", "request.edit", "request.schedule", "request.approve"}
	some exclusive in data.config.exclusive_roles
	_is_used(exclusive)
	some place in places.required
	every role in exclusive {
		_holds(role, place)
	}
}

# Roles that have nothing to do with the operation may be held together elsewhere.
_is_used(exclusive) if {
	some role in exclusive
	role in roles.granting(input.operation, input.request.kind)
}

_holds(role, place) if {
	some binding in roles.caller
	role in binding.roles
	_reaches(binding.namespaces, place.namespace)
	_reaches(binding.environments, place.environment)
}

# In all of them (null) is a role that is held in any.
_reaches(_, null)

_reaches(names, name) if roles.covers(names, name)
