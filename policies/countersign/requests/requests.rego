# METADATA
# title: Requests
# description: Who may do what with a change request, and when it has expired.
# schemas:
#   - input: schema.input
package countersign.requests

import data.countersign.asked
import data.countersign.persons
import data.countersign.places
import data.countersign.roles
import data.countersign.tiers
import data.countersign.tokens

# METADATA
# description: An author may withdraw their own request, with or without roles
withdraw_granted if {
	input.operation == "request.withdraw"
	_is_own(input.principal)
}

# METADATA
# description: Denies of operations on a request
# scope: document
deny contains {
	"code": "not_author",
	"detail": "Only an author may edit, schedule or withdraw the request. Propose your own.",
} if {
	input.operation in {"request.edit", "request.schedule", "request.withdraw"}
	not _is_own(input.principal)
}

deny contains {
	"code": "self_approval",
	"detail": "Authors cannot approve their own request, from any account. Ask another person.",
} if {
	input.operation == "request.approve"
	persons.is_author(input.principal)
}

deny contains {
	"code": "self_rejection",
	"detail": "Authors cannot reject their own request. Withdraw it instead.",
} if {
	input.operation == "request.reject"
	persons.is_author(input.principal)
}

deny contains {
	"code": "approval_not_wanted",
	"detail": "The request requires no approval that the caller could give. Only possible approvers may reject it.",
} if {
	input.operation in {"request.approve", "request.reject"}
	not tiers.is_wanted(roles.caller, places.required)
	not _may_stop
}

deny contains {
	"code": "request_expired",
	"detail": "The request has expired. Propose it again.",
} if {
	input.operation in {
		"request.propose",
		"request.edit",
		"request.schedule",
		"request.apply",
		"request.approve",
	}
	not _is_young
}

deny contains {
	"code": "rejected",
	"detail": "This content was rejected. Edit the request, or propose another one.",
} if {
	asked.is_write
	count(input.rejections) > 0
}

deny contains {
	"code": "parked",
	"detail": "An author of this request is disabled or revoked. It waits until they return.",
} if {
	input.request.parked == true
	asked.is_write
}

deny contains {
	"code": "proposer_lost_role",
	"detail": "The proposer may no longer propose this. A principal with the role must propose it again.",
} if {
	input.operation in {"request.schedule", "request.apply"}
	not _proposer_may_propose
}

deny contains _unknown_person if {
	input.operation in {"request.propose", "request.edit", "request.schedule", "request.apply"}
	not persons.is_known(input.principal)
}

deny contains _unknown_person if {
	input.operation == "request.apply"
	not persons.is_known(input.request.proposer)
}

# An agent may only change what it proposed itself for this sponsor: neither other agents' requests nor the sponsor's
# own requests.
_is_own(principal) if {
	principal.kind != "agent"
	persons.is_author(principal)
}

_is_own(principal) if {
	principal.kind == "agent"
	principal.id == input.request.proposer.id
	persons.human(principal) == persons.human(input.request.proposer)
}

_unknown_person := {
	"code": "unknown_person",
	"detail": concat(" ", [
		"The policy does not know the human behind this workload, so it cannot exclude them as an approver.",
		"Add their alias to config/persons.",
	]),
}

_is_young if input.clock.now_ms - input.request.created_ms < data.config.limits.request_ttl_s * 1000

# What waits for its start may need nobody's approval any more, or none at all, but can still be stopped.
_may_stop if {
	input.operation == "request.reject"
	input.request.start_ms > input.clock.now_ms
	tiers.could_approve(roles.caller, places.required)
}

# By current bindings and trust rules, for the groups and claims of the proposer that are last known.
_proposer_may_propose if {
	roles.is_as_last_known(input.request.proposer)
	granting := roles.granting("request.propose", input.request.kind)
	roles.holds_at_all(roles.bindings(input.request.proposer), granting, places.required)
	tokens.grants_at_all(input.request.proposer, "request.propose", places.required)
}
