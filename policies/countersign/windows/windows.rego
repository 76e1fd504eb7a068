# METADATA
# title: Windows
# description: >-
#   Change windows in the local times of `input.clock.zones`. Half-open; days are those of the start. A local time that
#   the change to summer time skips opens no window, and one that the change back repeats is open twice. A window does
#   not open on its holidays; one that opened on the day before stays open until its end.
# schemas:
#   - input: schema.input
package countersign.windows

import data.countersign.asked
import data.countersign.emergency
import data.countersign.own
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

wanted contains choice if some choice in own.windows

# METADATA
# description: >-
#   Whether a window is open at a local time. `window` is a row of config/windows, `wall` the local time of its zone.
# scope: document
is_open(window, wall) if {
	_minute(window.start) < _minute(window.end)
	_opens_on(window, wall.iso_weekday, wall.date)
	wall.minute_of_day >= _minute(window.start)
	wall.minute_of_day < _minute(window.end)
}

is_open(window, wall) if {
	_minute(window.start) >= _minute(window.end)
	_opens_on(window, wall.iso_weekday, wall.date)
	wall.minute_of_day >= _minute(window.start)
}

is_open(window, wall) if {
	_minute(window.start) >= _minute(window.end)
	_opens_on(window, ((wall.iso_weekday + 5) % 7) + 1, _day_before(wall.date))
	wall.minute_of_day < _minute(window.end)
}

# METADATA
# description: A window that cannot be evaluated results in a deny
# scope: document
deny contains {
	"code": "zone_missing",
	"detail": concat(" ", ["The input has no clock for the zone of window", name, "(add it to config/zones)."]),
} if {
	asked.is_write
	some choice in outstanding
	some name in choice
	not input.clock.zones[data.config.windows[name].zone]
}

deny contains {
	"code": "holidays_missing",
	"detail": concat(" ", ["The holidays of window", name, "cannot be read (see config/holidays)."]),
} if {
	asked.is_write
	some choice in wanted
	some name in choice
	data.config.windows[name]
	not _has_holidays(data.config.windows[name])
}

# A calendar that is missing would open the window on every holiday.
_has_holidays(window) if {
	calendars := object.get(window, "holidays", [])
	is_array(calendars)
	every calendar in calendars {
		is_object(data.config.holidays[calendar])
	}
}

_opens_on(window, iso_weekday, date) if {
	iso_weekday in window.days
	not _is_holiday(object.get(window, "holidays", []), date)
}

_is_holiday(calendars, date) if {
	some calendar in calendars
	data.config.holidays[calendar][date]
}

_day_before(date) := concat("-", [substring(date, 0, 7), _two_digits[day - 1]]) if {
	day := _index(substring(date, 8, 2))
	day > 1
}

_day_before(date) := concat("-", [substring(date, 0, 4), _two_digits[month - 1], last]) if {
	substring(date, 8, 2) == "01"
	year := to_number(substring(date, 0, 4))
	month := _index(substring(date, 5, 2))
	last := _last_day(year, month - 1)
}

_day_before(date) := concat("-", [format_int(year - 1, 10), "12-31"]) if {
	substring(date, 5, 5) == "01-01"
	year := to_number(substring(date, 0, 4))
}

_last_day(year, 2) := "29" if _is_leap_year(year)

else := "28"

_last_day(_, month) := "30" if month in {4, 6, 9, 11}

_last_day(_, month) := "31" if month in {1, 3, 5, 7, 8, 10}

_is_leap_year(year) if {
	year % 4 == 0
	year % 100 != 0
}

_is_leap_year(year) if year % 400 == 0

_two_digits := [substring(format_int(100 + number, 10), 1, 2) | some number in numbers.range(0, 31)]

_index(text) := [index | some index, digits in _two_digits; digits == text][0]

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
