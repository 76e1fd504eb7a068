# METADATA
# title: Reasons
# description: The reasons of an allow or a hold, for people.
# schemas:
#   - input: schema.input
package countersign.reasons

import data.countersign.approvals
import data.countersign.asked
import data.countersign.blackouts
import data.countersign.cosigned
import data.countersign.emergency
import data.countersign.obligations
import data.countersign.own
import data.countersign.retention
import data.countersign.tiers
import data.countersign.tokens
import data.countersign.windows

# METADATA
# description: The reasons of a hold
# scope: document
held contains {
	"code": "held_by_tier",
	"detail": concat(" ", ["The", selector[2], "rule of tier", selector[0], "in", selector[1], "is not met yet."]),
} if {
	_is_unmet
	some selector in tiers.selectors
	rule := data.config.tiers[selector[0]][selector[1]][selector[2]]
	_asks(rule)
}

held contains {
	"code": "held_for_exception",
	"detail": "Single users in the audience require approvals in addition to those of the tier.",
} if {
	_is_unmet
	some asked in tiers.exception_approvals
	count(asked) > 0
}

held contains {
	"code": "held_for_new_flag",
	"detail": "A new flag of this tier requires approvals.",
} if {
	_is_unmet
	some approvals in tiers.new_flag_approvals
	count(approvals) > 0
}

held contains {
	"code": "held_for_consultation",
	"detail": "The change names organizations, or reaches protected ones, whose account-approver has to approve.",
} if {
	asked.is_write
	some organization in approvals.missing_organizations
	organization in tiers.organizations_consulted
}

held contains data.config.request_kinds[input.request.kind].held if _is_unmet

held contains reason if {
	asked.is_write
	some reason in own.held
}

held contains {
	"code": "held_by_blackout",
	"detail": concat(" ", [
		"Blackout", name, "lasts until", blackout.end.date, _clock(blackout.end), "in", concat("", [blackout.zone, ":"]),
		blackout.reason,
	]),
} if {
	some name in blackouts.active
	blackout := data.config.blackouts[name]
}

held contains {
	"code": "held_for_witnesses",
	"detail": "Witnesses have not cosigned the log lately.",
} if {
	asked.is_write
	cosigned.outstanding
}

held contains {
	"code": "held_for_retention",
	"detail": "The last record that names the person is younger than the minimum retention.",
} if {
	asked.is_write
	some kept_until in retention.waits
	kept_until > input.clock.now_ms
}

held contains {
	"code": "held_for_ticket",
	"detail": "The ticket does not match the required pattern.",
} if {
	asked.is_write
	input.request.ticket != null
	not regex.match(data.config.tickets.pattern, input.request.ticket)
}

held contains {
	"code": "held_for_sign_in",
	"detail": "The caller must sign in again, with a stronger or more recent sign-in.",
} if {
	input.operation in {"request.approve", "breakglass.open"}
}

held contains {
	"code": "approver_lost_role",
	"detail": "An approval no longer counts: its giver lost the role, by the groups last known. Ask another.",
} if {
	asked.is_write
	approvals.lost_role
}

# METADATA
# description: The reasons of an allow
# scope: document
allowed contains {
	"code": "self_service",
	"detail": "No second person is required.",
} if {
	asked.is_write
	count(tiers.approvals_wanted) == 0
	count(tiers.organizations_wanted) == 0
}

allowed contains {
	"code": "requirements_met",
	"detail": "All requirements of the tier are met.",
} if {
	asked.is_write
	_wants_approval
}

allowed contains {
	"code": "incident_safe_direction",
	"detail": "During an incident, a safer change does not wait for a window, or for the end of a blackout.",
} if {
	asked.is_write
	_is_passed_by
}

allowed contains {
	"code": "trust_rule_granted",
	"detail": "A trust rule of the policy grants this.",
} if {
	input.operation == "token.exchange"
	input.principal.kind != "person"
}

allowed contains {
	"code": "person_reads_flags",
	"detail": "The policy lets persons have tokens that read the flags that they may read.",
} if {
	input.operation == "token.exchange"
	input.principal.kind == "person"
}

allowed contains {
	"code": "own_request",
	"detail": "Authors may withdraw their own request.",
} if {
	input.operation == "request.withdraw"
}

allowed contains {
	"code": "own_credential",
	"detail": "Everybody may revoke their own token, and persons may manage their own sessions.",
} if {
	tokens.own_granted
}

allowed contains {
	"code": "role_granted",
	"detail": "The caller holds a role that grants this.",
} if {
	not asked.is_write
	not input.operation in {"token.exchange", "request.withdraw"}
	not tokens.own_granted
}

# Something other than the end of a blackout, witnesses, or the end of a wait of an own rule, is missing.
_is_unmet if {
	asked.is_write
	some obligation in obligations.outstanding
	not obligation.kind in {"blackout", "cosigned"}
	not obligation.not_before_ms
}

_is_passed_by if {
	emergency.is_incident
	input.request.kind == "flag.change"
	count(windows.wanted) == 0
	some rule in tiers.rules
	count(rule.windows) > 0
}

_is_passed_by if count(blackouts.waived) > 0

_clock(time) := concat(":", [_two_digits(time.hour), _two_digits(time.minute)])

_two_digits(number) := substring(format_int(100 + number, 10), 1, 2)

_wants_approval if count(tiers.approvals_wanted) > 0

_wants_approval if count(tiers.organizations_wanted) > 0

_asks(rule) if count(rule.approvals) > 0

_asks(rule) if rule.ticket

_asks(rule) if count(rule.windows) > 0

_asks(rule) if rule.account_approvers
