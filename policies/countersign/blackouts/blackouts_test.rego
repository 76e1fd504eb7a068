# METADATA
# title: Blackouts
# description: Variants of the data for blackouts, and data that cannot be evaluated.
package countersign.blackouts_test

import data.fixtures

# The base is 2026-06-16, 14:00 in Berlin.
_around := {
	"zone": "Europe/Berlin",
	"start": {"date": "2026-06-16", "hour": 14, "minute": 0},
	"end": {"date": "2026-06-16", "hour": 14, "minute": 1},
	"reason": "Cut-over",
}

_on := {"flag": {"tier": "informational"}}

_off := {
	"flag": {"tier": "informational"},
	"facts": {"direction": "off", "audience_grew": false, "safe": true},
}

_frozen := {"emergency": fixtures.base.parts.frozen.emergency}

_definition := {"flag": {"tier": "informational"}, "facts": {"scope": "definition"}}

_propose(patch, change) := object.union_n([
	fixtures.base.input,
	{"request": {"changes": [object.union(fixtures.base.change, change)]}},
	patch,
])

_decide(document, blackouts) := answer if {
	answer := data.countersign.decision with input as document
		with data.config.blackouts as blackouts
}

_codes(reasons) := [reason.code | some reason in reasons]

# METADATA
# description: What a blackout closes
test_scope[note] if {
	expected := {true: ["hold", [{"kind": "blackout", "blackouts": ["around"]}]], false: ["allow", []]}
	some note, example in {
		"everything": {"row": {}, "is_closed": true},
		"no minute": {"row": {"end": {"date": "2026-06-16", "hour": 14, "minute": 0}}, "is_closed": false},
		"not yet": {"row": {"start": {"date": "2026-06-16", "hour": 14, "minute": 1}}, "is_closed": false},
		"since the day before": {"row": {"start": {"date": "2026-06-15", "hour": 23, "minute": 59}}, "is_closed": true},
		"kind of environment": {"row": {"environments": ["production"]}, "is_closed": true},
		"another kind of environment": {"row": {"environments": ["staging"]}, "is_closed": false},
		"no kind of environment": {"row": {"environments": []}, "is_closed": false},
		"namespace": {"row": {"namespaces": ["payments"]}, "is_closed": true},
		"another namespace": {"row": {"namespaces": ["search"]}, "is_closed": false},
		"tier": {"row": {"except_tiers": ["informational"]}, "is_closed": false},
		"another tier": {"row": {"except_tiers": ["operational"]}, "is_closed": true},
		"kind of request": {"row": {"request_kinds": ["flag.change"]}, "is_closed": true},
		"another kind of request": {"row": {"request_kinds": ["freeze.lift"]}, "is_closed": false},
		"safer changes pass, this is none": {"row": {"lower_passes": true}, "is_closed": true},
	}
	answer := _decide(_propose({}, _on), {"around": object.union(_around, example.row)})
	[answer.effect, answer.obligations] == expected[example.is_closed]
}

# METADATA
# description: A definition is in every environment, whichever kind a blackout names
test_definition_is_everywhere if {
	answer := _decide(
		_propose({}, object.union(_definition, {
			"before": {"tier": "informational", "kind": "release"},
			"after": {"tier": "informational", "kind": "release"},
		})),
		{"around": object.union(_around, {"environments": ["staging"]})},
	)
	answer.obligations == [{"kind": "blackout", "blackouts": ["around"]}]
}

# METADATA
# description: Other kinds of requests are closed if a blackout names them, wherever they are
test_other_kinds[note] if {
	lift := object.union_n([
		fixtures.base.input,
		fixtures.base.parts.by_riley,
		fixtures.base.parts.from_riley,
		fixtures.base.parts.lift_payments,
	])
	some note, kinds in {"named": ["freeze.lift"], "not named": ["revocation.lift"]}
	row := {"request_kinds": kinds, "environments": ["staging"]}
	answer := _decide(lift, {"around": object.union(_around, row)})
	count([obligation | some obligation in answer.obligations; obligation.kind == "blackout"]) == {
		"named": 1,
		"not named": 0,
	}[note]
}

# METADATA
# description: A safer change passes where the blackout says so, and every blackout during an incident. No other does
test_safer_changes[note] if {
	some note, example in {
		"safer": {"patch": {}, "change": _off, "row": {}, "effect": "hold", "codes": ["held_by_blackout"]},
		"safer, may pass": {
			"patch": {}, "change": _off, "row": {"lower_passes": true},
			"effect": "allow", "codes": ["self_service"],
		},
		"safer, in an incident": {
			"patch": _frozen, "change": _off, "row": {},
			"effect": "allow", "codes": ["incident_safe_direction", "self_service"],
		},
		"raise, in an incident": {
			"patch": {"emergency": fixtures.base.parts.session.emergency}, "change": _on, "row": {"lower_passes": true},
			"effect": "hold", "codes": ["held_by_blackout"],
		},
		"safer, in an incident, after the blackout": {
			"patch": _frozen, "change": _off, "row": {"end": {"date": "2026-06-16", "hour": 14, "minute": 0}},
			"effect": "allow", "codes": ["self_service"],
		},
	}
	answer := _decide(_propose(example.patch, example.change), {"around": object.union(_around, example.row)})
	[answer.effect, _codes(answer.reasons)] == [example.effect, example.codes]
}

# METADATA
# description: Two blackouts both have to be over; one that is over, or not yet there, is not waited for
test_several_blackouts if {
	answer := _decide(_propose({}, _on), {
		"two": _around,
		"one": _around,
		"over": object.union(_around, {"end": {"date": "2026-06-16", "hour": 14, "minute": 0}}),
		"later": object.union(_around, {"start": {"date": "2026-06-16", "hour": 14, "minute": 1}}),
	})
	answer.obligations == [{
		"kind": "blackout",
		"blackouts": ["one", "two"],
		"calendar": {"windows": [], "blackouts": ["later", "one", "two"]},
	}]
	_codes(answer.reasons) == ["held_by_blackout", "held_by_blackout"]
}

# METADATA
# description: A blackout that cannot be evaluated closes everything, whatever its scope
test_incomplete_is_denied[note] if {
	some note, blackout in {
		"no object": null,
		"empty": {},
		"no zone": object.remove(_around, ["zone"]),
		"no reason": object.remove(_around, ["reason"]),
		"no start": object.remove(_around, ["start"]),
		"no end": object.remove(_around, ["end"]),
		"no minute": object.union(object.remove(_around, ["end"]), {"end": {"date": "2026-06-16", "hour": 14}}),
		"hour as text": object.union(_around, {"start": {"hour": "09"}}),
		"date without zeros": object.union(_around, {"end": {"date": "2026-6-16"}}),
		"date with zeros elsewhere": object.union(_around, {"end": {"date": "02026-6-16"}}),
		"date with letters": object.union(_around, {"end": {"date": "2026-o6-16"}}),
		"date with other digits": object.union(_around, {"end": {"date": "2026-0٦-16"}}),
		"date with a sign": object.union(_around, {"end": {"date": "2026-06--6"}}),
		"date with a time": object.union(_around, {"end": {"date": "2026-06-16T12"}}),
		"date with spaces": object.union(_around, {"end": {"date": " 2026-06-16"}}),
		"date with a line": object.union(_around, {"end": {"date": "2026-06-16\n"}}),
		"date without a day": object.union(_around, {"end": {"date": "2026-06"}}),
		"date as a number": object.union(_around, {"end": {"date": 20260616}}),
		"date as a list": object.union(_around, {"end": {"date": ["2026", "06", "16"]}}),
		"date of null": object.union(_around, {"end": {"date": null}}),
		"one namespace": object.union(_around, {"namespaces": "search"}),
		"one tier": object.union(_around, {"except_tiers": "informational"}),
		"one environment": object.union(_around, {"environments": "staging"}),
		"one kind of request": object.union(_around, {"request_kinds": "freeze.lift"}),
		"passes as text": object.union(_around, {"lower_passes": "no"}),
	}
	answer := _decide(_propose({}, _on), {"broken": blackout})
	answer.effect == "deny"
	"blackout_incomplete" in _codes(answer.reasons)
}

# METADATA
# description: A blackout in a zone that the input does not have closes everything
test_unknown_zone_is_denied if {
	answer := _decide(_propose({}, _on), {"there": object.union(_around, {"zone": "Asia/Kathmandu"})})
	answer.effect == "deny"
	_codes(answer.reasons) == ["zone_missing"]
}

# METADATA
# description: Without blackouts nothing is closed
test_none[note] if {
	some note, blackouts in {"empty": {}, "null": null}
	_decide(_propose({}, _on), blackouts).effect == "allow"
}
