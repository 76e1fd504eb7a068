# METADATA
# title: Windows
# description: >-
#   Change windows in the local times of `input.clock.zones`. Half-open; days are those of the start. A local time that
#   the change to summer time skips opens no window, and one that the change back repeats is open twice.
# schemas:
#   - input: schema.input
package countersign.windows

import data.countersign.emergency
import data.countersign.tiers

# METADATA
# description: The choices of windows that the request waits for, sorted. Empty if it may be written now.
outstanding := sort({choice |
	some choice in wanted
	not _has_open(choice)
})

# METADATA
# description: The choices of windows that govern the request; during an incident, safe directions need no window
# scope: document
wanted contains choice if {
	some selector in tiers.selectors
	choice := data.config.tiers[selector[0]][selector[1]][selector[2]].windows
	count(choice) > 0
	not _passes(selector[2])
}

wanted contains choice if {
	choice := data.config.request_kinds[input.request.kind].rule.windows
	count(choice) > 0
}

# METADATA
# description: >-
#   Whether a window is open at a local time. `window` is a row of config/windows, `wall` the local time of its zone.
# scope: document
is_open(window, wall) if {
	_minute(window.start) < _minute(window.end)
	wall.iso_weekday in window.days
	wall.minute_of_day >= _minute(window.start)
	wall.minute_of_day < _minute(window.end)
}

is_open(window, wall) if {
	_minute(window.start) >= _minute(window.end)
	wall.iso_weekday in window.days
	wall.minute_of_day >= _minute(window.start)
}

is_open(window, wall) if {
	_minute(window.start) >= _minute(window.end)
	(((wall.iso_weekday + 5) % 7) + 1) in window.days
	wall.minute_of_day < _minute(window.end)
}

# METADATA
# description: A window that cannot be evaluated results in a deny
deny contains {
	"code": "zone_missing",
	"detail": concat(" ", ["The input has no clock for the zone of window", name, "(add it to config/zones)."]),
} if {
	input.operation in {"request.propose", "request.schedule", "request.apply"}
	some choice in outstanding
	some name in choice
	not input.clock.zones[data.config.windows[name].zone]
}

_passes(movement) if {
	movement == "lower"
	emergency.is_incident
}

_has_open(choice) if {
	some name in choice
	window := data.config.windows[name]
	is_open(window, input.clock.zones[window.zone])
}

_minute(time) := (time.hour * 60) + time.minute
