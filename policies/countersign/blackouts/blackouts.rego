# METADATA
# title: Blackouts
# description: >-
#   Periods in which nothing in their scope is written. From `start` (inclusive) to `end` (exclusive), in the local time
#   of the zone.
# schemas:
#   - input: schema.input
package countersign.blackouts

import data.countersign.asked
import data.countersign.emergency
import data.countersign.tiers

# METADATA
# description: The blackouts that close the request, now or later. Those that are over are not among them
# scope: document
governing contains name if {
	asked.is_write
	some name, blackout in data.config.blackouts
	not _is_over(blackout)
	_closes(blackout)
}

# METADATA
# description: The blackouts that close the request now
# scope: document
active contains name if {
	some name in governing
	_has_started(data.config.blackouts[name])
}

# METADATA
# description: The blackouts that would close the request now if there were no incident
# scope: document
waived contains name if {
	asked.is_write
	emergency.is_incident
	some name, blackout in data.config.blackouts
	_has_started(blackout)
	not _is_over(blackout)
	some change in input.request.changes
	tiers.movement(change) == "lower"
	_covers(blackout, change)
}

# METADATA
# description: A blackout that cannot be evaluated results in a deny, whatever its scope
# scope: document
deny contains {
	"code": "blackout_incomplete",
	"detail": concat(" ", ["Blackout", name, "cannot be evaluated (see config/blackouts)."]),
} if {
	asked.is_write
	some name, blackout in data.config.blackouts
	not _is_complete(blackout)
}

deny contains {
	"code": "zone_missing",
	"detail": concat(" ", ["The input has no clock for the zone of blackout", name, "(add it to config/zones)."]),
} if {
	asked.is_write
	some name, blackout in data.config.blackouts
	not input.clock.zones[blackout.zone]
}

_closes(blackout) if {
	input.request.kind != "flag.change"
	input.request.kind in _request_kinds(blackout)
}

_closes(blackout) if {
	some change in input.request.changes
	_covers(blackout, change)
	not _is_waived(change)
}

# During an incident a safer change does not wait.
_is_waived(change) if {
	emergency.is_incident
	tiers.movement(change) == "lower"
}

_covers(blackout, change) if {
	input.request.kind == "flag.change"
	"flag.change" in _request_kinds(blackout)
	_is_in_environments(object.get(blackout, "environments", null), change.facts.scope)
	_is_in_namespaces(object.get(blackout, "namespaces", null), change.flag.namespace)
	not _is_excepted(blackout, change)
}

_request_kinds(blackout) := object.get(blackout, "request_kinds", ["flag.change"])

_is_in_environments(null, _)

# A definition applies to every environment.
_is_in_environments(_, "definition")

_is_in_environments(kinds, "state") if data.config.environments[input.environment.key].kind in kinds

_is_in_namespaces(null, _)

_is_in_namespaces(namespaces, namespace) if namespace in namespaces

_is_excepted(blackout, change) if {
	blackout.lower_passes
	tiers.movement(change) == "lower"
}

_is_excepted(blackout, change) if {
	every tier in tiers.governing(change) {
		tier in blackout.except_tiers
	}
}

_has_started(blackout) if _now(blackout.zone) >= _place(blackout.start)

_is_over(blackout) if _now(blackout.zone) >= _place(blackout.end)

# Places in local time, in order: a date, and the minute of the day.
_now(zone) := [wall.date, wall.minute_of_day] if wall := input.clock.zones[zone]

_place(time) := [time.date, (time.hour * 60) + time.minute]

# A member of another type would cover less than its author intended.
_is_complete(blackout) if {
	is_string(blackout.zone)
	is_string(blackout.reason)
	_is_time(blackout.start)
	_is_time(blackout.end)
	is_boolean(object.get(blackout, "lower_passes", false))
	every member in ["request_kinds", "environments", "namespaces", "except_tiers"] {
		is_array(object.get(blackout, member, []))
	}
}

_is_time(time) if {
	_is_date(time.date)
	is_number(time.hour)
	is_number(time.minute)
}

# Digits in the places of a date. The engine would compile a regular expression anew at each decision.
_is_date(date) if {
	trim(date, "0123456789-") == ""
	[count(part) | some part in split(date, "-")] == [4, 2, 2]
}
