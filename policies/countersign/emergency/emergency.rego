# METADATA
# title: Emergency
# description: Freezes and break-glass. A freeze stops writes; a break-glass session can only make things safer.
# schemas:
#   - input: schema.input
package countersign.emergency

import data.countersign.asked
import data.countersign.tiers

# METADATA
# description: A freeze covers the request, or the caller has an open break-glass session
# scope: document
is_incident if input.emergency.frozen == true

is_incident if {
	input.operation != "breakglass.open"
	_is_session_open
}

# METADATA
# description: Denies of operations under a freeze, and of break-glass operations
# scope: document
deny contains {
	"code": "frozen",
	"detail": "A freeze covers this change. Only safer changes are allowed. Propose to lift the freeze.",
} if {
	asked.row
	not _always_passes
	_meets_freezes
	not _is_free
	not _passes_freeze
}

deny contains {
	"code": "incident_missing",
	"detail": "An incident reference is required.",
} if {
	_asks_for_power
	not _names_incident
}

deny contains {
	"code": "reason_missing",
	"detail": "A reason is required.",
} if {
	_asks_for_power
	not _gives_reason
}

deny contains {
	"code": "breakglass_budget_spent",
	"detail": "This person has reached the limit of break-glass sessions in seven days.",
} if {
	input.operation == "breakglass.open"
	not _has_budget
}

deny contains {
	"code": "breakglass_missing",
	"detail": "Open a break-glass session first.",
} if {
	input.operation in {"breakglass.apply", "breakglass.close"}
	input.emergency.breakglass == null
}

deny contains {
	"code": "breakglass_expired",
	"detail": "The break-glass session has ended. Open a new one, or propose the change.",
} if {
	input.operation == "breakglass.apply"
	input.emergency.breakglass != null
	not _is_session_open
}

deny contains {
	"code": "breakglass_unsafe",
	"detail": concat(" ", [
		"Break-glass may switch off, narrow, or return to an earlier state, if everybody then gets what they had or the",
		"safe variant. Propose this change instead:",
		change.flag.key,
	]),
} if {
	input.operation == "breakglass.apply"
	some change in input.request.changes
	not _is_safe_in_emergency(change)
}

deny contains {
	"code": "breakglass_unsafe",
	"detail": "Break-glass may only change flags.",
} if {
	input.operation == "breakglass.apply"
	input.request.kind != "flag.change"
}

_always_passes if asked.row.under_freeze == "passes"

_meets_freezes if input.request.kind == "flag.change"

_meets_freezes if data.config.request_kinds[input.request.kind].under_freeze == "refused"

_passes_freeze if {
	input.request.kind == "flag.change"
	asked.row.under_freeze == "safe_only"
	data.config.freeze.safe_directions_pass == true
	every change in input.request.changes {
		tiers.movement(change) == "lower"
	}
}

_is_session_open if input.clock.now_ms < input.emergency.breakglass.expires_ms

_is_safe_in_emergency(change) if tiers.movement(change) == "lower"

_is_safe_in_emergency(change) if {
	tiers.is_safe(change)
	change.facts.returns_to != null
}

_asks_for_power if input.operation in {"breakglass.open", "freeze.engage", "revocation.add", "revocation.preview"}

_power := input.emergency.breakglass if input.operation == "breakglass.open"

_power := input.emergency.engage if input.operation == "freeze.engage"

_power := input.revocation if input.operation in {"revocation.add", "revocation.preview"}

_names_incident if trim_space(_power.incident) != ""

_gives_reason if trim_space(_power.reason) != ""

_has_budget if input.emergency.breakglass_recent < data.config.limits.breakglass_per_week

_is_free if input.emergency.frozen == false
