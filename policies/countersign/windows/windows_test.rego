# METADATA
# title: Windows
# description: Holidays, on whose dates a window does not start.
package countersign.windows_test

import data.fixtures

_night := {
	"zone": "Europe/Berlin",
	"days": [1, 2, 3, 4, 5, 6, 7],
	"start": {"hour": 22, "minute": 0},
	"end": {"hour": 3, "minute": 0},
	"holidays": ["ours"],
}

_day := {
	"zone": "Europe/Berlin",
	"days": [1, 2, 3, 4, 5, 6, 7],
	"start": {"hour": 9, "minute": 0},
	"end": {"hour": 16, "minute": 0},
	"holidays": ["others", "ours"],
}

_is_open(window, wall, holiday) if data.countersign.windows.is_open(window, wall) with data.config.holidays as {
	"ours": {holiday: "A holiday"},
	"others": {},
}

# METADATA
# description: A window is closed on a holiday
test_holiday_closes_the_day if {
	wall := {"date": "2026-06-16", "iso_weekday": 2, "minute_of_day": 600}
	not _is_open(_day, wall, "2026-06-16")
	_is_open(_day, wall, "2026-06-15")
	_is_open(_day, wall, "2026-06-17")
}

# METADATA
# description: A night belongs to the day on which it starts, so a holiday closes its own night and not the one before
test_holiday_on_the_start_day_of_a_night if {
	evening := {"date": "2026-06-16", "iso_weekday": 2, "minute_of_day": 1380}
	not _is_open(_night, evening, "2026-06-16")
	_is_open(_night, evening, "2026-06-17")
	morning := {"date": "2026-06-17", "iso_weekday": 3, "minute_of_day": 60}
	not _is_open(_night, morning, "2026-06-16")
	_is_open(_night, morning, "2026-06-17")
}

# METADATA
# description: The day before the first of a month is the last of the month before, in leap years too
test_day_before_the_first[first] if {
	some first, before in {
		"2026-01-01": "2025-12-31",
		"2026-02-01": "2026-01-31",
		"2026-03-01": "2026-02-28",
		"2028-03-01": "2028-02-29",
		"2000-03-01": "2000-02-29",
		"2100-03-01": "2100-02-28",
		"2026-04-01": "2026-03-31",
		"2026-05-01": "2026-04-30",
		"2026-06-01": "2026-05-31",
		"2026-07-01": "2026-06-30",
		"2026-08-01": "2026-07-31",
		"2026-09-01": "2026-08-31",
		"2026-10-01": "2026-09-30",
		"2026-11-01": "2026-10-31",
		"2026-12-01": "2026-11-30",
		"2026-12-10": "2026-12-09",
		"2026-12-31": "2026-12-30",
	}
	wall := {"date": first, "iso_weekday": 3, "minute_of_day": 60}
	not _is_open(_night, wall, before)
	_is_open(_night, wall, first)
}

# METADATA
# description: A window whose holidays cannot be read results in a deny, as it would be open on each of them
test_unreadable_holidays_are_denied[note] if {
	sensitive := object.union(
		fixtures.base.input,
		{"request": {"changes": [object.union(fixtures.base.change, {"flag": {"tier": "sensitive"}})]}},
	)
	some note, holidays in {"unknown calendar": ["nowhere"], "one calendar": "germany", "null": null}
	window := object.union(data.config.windows["business-hours-berlin"], {"holidays": holidays})
	answer := data.countersign.decision with input as sensitive
		with data.config.windows["business-hours-berlin"] as window
	answer.effect == "deny"
	[reason.code | some reason in answer.reasons] == ["holidays_missing"]
}
