# METADATA
# title: Own rules
# description: What own rules add is required besides everything else, and never grants anything.
package countersign.own_test

import data.fixtures

_change(tier) := object.union(fixtures.base.change, {"flag": {"tier": tier}})

_self_service := object.union(fixtures.base.input, {"request": {"changes": [_change("informational")]}})

_sensitive := object.union(
	fixtures.base.input,
	{"request": {"changes": [_change("sensitive")], "ticket": "PAY-1"}, "approvals": [fixtures.base.votes.alex]},
)

_night := {"clock": {"zones": {"Europe/Berlin": {"minute_of_day": 60}, "America/New_York": {"minute_of_day": 1140}}}}

# METADATA
# description: The shipped policy has no rules of its own
test_none_by_default if {
	every name in ["deny", "approvals", "windows", "waits", "held"] {
		data.countersign.own[name] == set()
	}
	data.countersign.decision.effect == "allow" with input as _self_service
}

# METADATA
# description: A reason of an own rule denies
test_own_deny if {
	reason := {"code": "no", "detail": "No."}
	decision := data.countersign.decision with input as _self_service with data.countersign.own.deny as {reason}
	[decision.effect, decision.reasons] == ["deny", [reason]]
}

# METADATA
# description: Own approvals are required besides those of the tier, and given as they are
test_own_approvals if {
	decision := data.countersign.decision with input as _self_service
		with data.countersign.own.approvals as {{"flag-approver": 1}}
		with data.countersign.own.held as {{"code": "why", "detail": "Why."}}
	decision.obligations == [{"kind": "approval", "role": "flag-approver", "count": 1}]
	"why" in {reason.code | some reason in decision.reasons}
	approved := data.countersign.decision
		with input as object.union(_self_service, {"approvals": [fixtures.base.votes.alex]})
		with data.countersign.own.approvals as {{"flag-approver": 1}}
	approved.effect == "allow"
}

# METADATA
# description: An own choice of windows is required besides those of the tier
test_own_windows if {
	decision := data.countersign.decision with input as object.union(_self_service, _night)
		with data.countersign.own.windows as {["business-hours-berlin"]}
	decision.obligations == [{"kind": "window", "windows": ["business-hours-berlin"]}]
	open := data.countersign.decision with input as _self_service
		with data.countersign.own.windows as {["business-hours-berlin"]}
	open.effect == "allow"
}

# METADATA
# description: A wait lasts until the latest moment, and the moment itself is not waited for
test_own_waits if {
	now := _self_service.clock.now_ms
	decision := data.countersign.decision with input as _self_service
		with data.countersign.own.waits as {now + 1, now + 60000}
	decision.effect == "hold"
	decision.obligations == [{"kind": "window", "windows": [], "not_before_ms": now + 60000}]
	over := data.countersign.decision with input as _self_service with data.countersign.own.waits as {now, now - 1}
	over.effect == "allow"
}

# METADATA
# description: A wait beside a window says all that time has to clear, and so does the window
test_own_waits_and_windows if {
	now := _sensitive.clock.now_ms
	decision := data.countersign.decision with input as object.union(_sensitive, _night)
		with data.countersign.own.waits as {now + 60000}
	count(decision.obligations) == 2
	every obligation in decision.obligations {
		obligation.calendar == {
			"windows": [["business-hours-berlin", "business-hours-new-york"]],
			"blackouts": [],
			"not_before_ms": now + 60000,
		}
	}
}

# METADATA
# description: Own rules never replace a grant
test_own_rules_grant_nothing if {
	nobody := object.union(_self_service, {"principal": {"groups": []}})
	decision := data.countersign.decision with input as nobody
		with data.countersign.own.approvals as {{"flag-approver": 1}}
		with data.countersign.own.waits as {0}
	decision.effect == "deny"
}
