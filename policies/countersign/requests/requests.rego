# METADATA
# title: Requests
# description: Who may do what with a change request, and when it is too late.
# schemas:
#   - input: schema.input
package countersign.requests

import data.countersign.persons
import data.countersign.places
import data.countersign.roles
import data.countersign.tiers
import data.countersign.tokens

# METADATA
# description: An author may take their own request back, whatever roles they still have
withdraw_granted if {
	input.operation == "request.withdraw"
	_is_own(input.principal)
}

# METADATA
# description: What stands against the operation on the request
# scope: document
deny contains {
	"code": "not_author",
	"detail": "Only those who wrote the request may edit, schedule or withdraw it; propose your own.",
} if {
	input.operation in {"request.edit", "request.schedule", "request.withdraw"}
	not _is_own(input.principal)
}

deny contains {
	"code": "self_approval",
	"detail": "Nobody approves what they wrote, whichever account they use; ask another person.",
} if {
	input.operation == "request.approve"
	persons.is_author(input.principal)
}

deny contains {
	"code": "self_rejection",
	"detail": "Authors do not reject their own request; withdraw it.",
} if {
	input.operation == "request.reject"
	persons.is_author(input.principal)
}

deny contains {
	"code": "approval_not_wanted",
	"detail": "No approval that the caller could give is asked for; only who may approve it may reject it.",
} if {
	input.operation in {"request.approve", "request.reject"}
	not tiers.is_wanted(roles.caller, places.required)
}

deny contains {
	"code": "request_expired",
	"detail": "The request is older than the policy allows; propose it again.",
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
	"detail": "Somebody rejected this content; edit the request, or propose another.",
} if {
	_is_write
	count(input.rejections) > 0
}

deny contains {
	"code": "parked",
	"detail": "Somebody who wrote this is disabled or revoked, so it waits until they are back.",
} if {
	input.request.parked == true
	_is_write
}

deny contains {
	"code": "proposer_lost_role",
	"detail": "The proposer may no longer propose this; somebody with the role has to propose it again.",
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

# An agent keeps to what it proposed itself, for this sponsor: other agents' work and what the sponsor wrote by hand are
# not for it to rewrite.
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
		"The policy does not know which human is behind this workload, so nobody else can be told from them;",
		"add the alias to config/persons.",
	]),
}

_is_write if input.operation in {"request.propose", "request.schedule", "request.apply"}

_is_young if input.clock.now_ms - input.request.created_ms < data.config.limits.request_ttl_s * 1000

# By today's bindings and trust rules, for the groups and claims that the proposer had then.
_proposer_may_propose if {
	granting := roles.granting("request.propose", input.request.kind)
	roles.holds_at_all(roles.bindings(input.request.proposer), granting, places.required)
	tokens.grants_at_all(input.request.proposer, "request.propose", places.required)
}
