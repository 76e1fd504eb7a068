# METADATA
# title: Obligations
# description: The outstanding obligations of the operation, in a fixed order.
# schemas:
#   - input: schema.input
package countersign.obligations

import data.countersign.approvals
import data.countersign.asked
import data.countersign.blackouts
import data.countersign.cosigned
import data.countersign.own
import data.countersign.retention
import data.countersign.tiers
import data.countersign.windows

# METADATA
# description: The outstanding obligations; empty if nothing is missing
# scope: document
default outstanding := []

outstanding := array.concat(
	array.concat(approvals.missing, _account_approvals),
	array.concat(array.concat(_approver_sign_in, _ticket), array.concat(
		array.concat(_windows, _waits),
		array.concat(_blackouts, _cosigned),
	)),
) if {
	asked.is_write
}

outstanding := _caller_sign_in(tiers.sign_in_wanted) if input.operation == "request.approve"

outstanding := _caller_sign_in(data.config.breakglass.sign_in) if input.operation == "breakglass.open"

_account_approvals := [obligation |
	some organization in approvals.missing_organizations
	obligation := {"kind": "approval", "role": "account-approver", "count": 1, "organization": organization}
]

# Only while an approval is missing: approvals that count were given with the sign-in that the tier requires.
_approver_sign_in := [obligation |
	count(approvals.missing) + count(approvals.missing_organizations) > 0
	wanted := tiers.sign_in_wanted
	obligation := {"kind": "sign_in", "who": "approver", "level": wanted.level, "max_age_s": wanted.max_age_s}
]

_ticket := [{"kind": "ticket", "pattern": data.config.tickets.pattern} | not _is_ticket_good]

_windows := [obligation |
	some choice in windows.outstanding
	obligation := object.union({"kind": "window", "windows": choice}, _calendar)
]

_waits := [object.union({"kind": "window", "windows": [], "not_before_ms": _not_before}, _calendar) | _is_waiting]

_not_before := max(own.waits | retention.waits)

_is_waiting if _not_before > input.clock.now_ms

_blackouts := [obligation |
	count(blackouts.active) > 0
	obligation := object.union({"kind": "blackout", "blackouts": sort(blackouts.active)}, _calendar)
]

_cosigned := [{"kind": "cosigned", "max_age_s": cosigned.outstanding} | cosigned.outstanding]

# Everything that time has to clear, from which the broker computes when it does; omitted if the obligation says it all.
_calendar := {} if _is_plain

else := {"calendar": object.union(
	{"windows": sort(windows.wanted), "blackouts": sort(blackouts.governing)},
	{"not_before_ms": _not_before | _is_waiting},
)}

_is_plain if {
	count(windows.wanted) == 1
	count(blackouts.governing) == 0
	not _is_waiting
}

_is_plain if {
	count(windows.wanted) == 0
	blackouts.governing == blackouts.active
	not _is_waiting
}

_is_plain if {
	count(windows.wanted) == 0
	count(blackouts.governing) == 0
}

_is_ticket_good if {
	input.request.ticket == null
	not tiers.ticket_wanted
}

_is_ticket_good if regex.match(data.config.tickets.pattern, input.request.ticket)

_caller_sign_in(wanted) := [] if tiers.is_signed_in(input.principal.auth, input.clock.now_ms, wanted)

else := [{
	"kind": "sign_in",
	"who": "caller",
	"level": wanted.level,
	"max_age_s": wanted.max_age_s,
}]
