# METADATA
# title: Reasons
# description: Why a decision that is no deny came out as it did, for people.
# schemas:
#   - input: schema.input
package countersign.reasons

import data.countersign.emergency
import data.countersign.tiers
import data.countersign.tokens
import data.countersign.windows

# METADATA
# description: Why something is missing
# scope: document
held contains {
	"code": "held_by_tier",
	"detail": concat(" ", ["To", selector[2], "a flag of tier", selector[0], "in", selector[1], "needs what is listed."]),
} if {
	_is_write
	some selector in tiers.selectors
	rule := data.config.tiers[selector[0]][selector[1]][selector[2]]
	_asks(rule)
}

held contains {
	"code": "held_for_exception",
	"detail": "Single users in the audience need approvals on top of those of the tier.",
} if {
	_is_write
	some approvals in tiers.exception_approvals
	count(approvals) > 0
}

held contains data.config.request_kinds[input.request.kind].held if _is_write

held contains {
	"code": "held_for_ticket",
	"detail": "The ticket does not look like one.",
} if {
	_is_write
	input.request.ticket != null
	not regex.match(data.config.tickets.pattern, input.request.ticket)
}

held contains {
	"code": "held_for_sign_in",
	"detail": "This needs a stronger or fresher sign-in by the caller.",
} if {
	input.operation in {"request.approve", "breakglass.open"}
}

# METADATA
# description: Why nothing is missing
# scope: document
allowed contains {
	"code": "self_service",
	"detail": "Nothing here needs a second person.",
} if {
	_is_write
	count(tiers.approvals_wanted) == 0
	count(tiers.organizations_wanted) == 0
}

allowed contains {
	"code": "requirements_met",
	"detail": "Everything that the tier asks for is there.",
} if {
	_is_write
	_wants_approval
}

allowed contains {
	"code": "incident_safe_direction",
	"detail": "During an incident, what makes things safer needs no window.",
} if {
	_is_write
	emergency.is_incident
	input.request.kind == "flag.change"
	count(windows.wanted) == 0
	some rule in tiers.rules
	count(rule.windows) > 0
}

allowed contains {
	"code": "trust_rule_granted",
	"detail": "A trust rule of the policy grants this.",
} if {
	input.operation == "token.exchange"
}

allowed contains {
	"code": "own_request",
	"detail": "Authors may take their request back.",
} if {
	input.operation == "request.withdraw"
}

allowed contains {
	"code": "own_credential",
	"detail": "Everybody may give up their own token, and persons have their own sessions.",
} if {
	tokens.own_granted
}

allowed contains {
	"code": "role_granted",
	"detail": "The caller holds a role that grants this.",
} if {
	not _is_write
	not input.operation in {"token.exchange", "request.withdraw"}
	not tokens.own_granted
}

_is_write if input.operation in {"request.propose", "request.schedule", "request.apply"}

_wants_approval if count(tiers.approvals_wanted) > 0

_wants_approval if count(tiers.organizations_wanted) > 0

_asks(rule) if count(rule.approvals) > 0

_asks(rule) if rule.ticket

_asks(rule) if count(rule.windows) > 0

_asks(rule) if rule.account_approvers
