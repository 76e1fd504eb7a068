package countersign.floors_test

import data.countersign.floors

_flag := {"key": "seats", "namespace": "payments", "tier": "informational", "kind": "release"}

_definition := {"tier": "informational", "kind": "release"}

_create := {
	"flag": _flag,
	"action": "create",
	"before": null,
	"after": _definition,
	"facts": {"scope": "definition"},
}

_input(change) := {"operation": "request.propose", "request": {"kind": "flag.change", "changes": [change]}}

_codes(change, table) := {reason.code |
	some reason in floors.deny with input as _input(change) with data.config.tier_floors as table
}

# METADATA
# description: Each of namespace, kind of flag and kind of environment sets a floor, alone and together
test_floor_by_each_key if {
	every table in [
		{"*": {"*": {"*": "sensitive"}}},
		{"payments": {"*": {"*": "sensitive"}}},
		{"*": {"release": {"*": "sensitive"}}},
		{"*": {"*": {"production": "sensitive"}}},
		{"payments": {"release": {"production": "sensitive"}}},
		{"payments": {"release": {"production": "sensitive"}}, "*": {"*": {"*": "operational"}}},
	] {
		_codes(_create, table) == {"tier_below_floor"}
		"sensitive" in floors.governing(_create, "production") with data.config.tier_floors as table
	}
}

# METADATA
# description: Floors of other places do not apply
test_floor_elsewhere if {
	every table in [
		{},
		{"accounts": {"*": {"*": "sensitive"}}},
		{"*": {"entitlement": {"*": "sensitive"}}},
		{"*": {"*": {"*": "informational"}}},
	] {
		_codes(_create, table) == set()
		floors.governing(_create, "production") == set() with data.config.tier_floors as table
	}
	floors.governing(_create, "staging") == set() with data.config.tier_floors as {"*": {"*": {"production": "sensitive"}}}
}

# METADATA
# description: An update may neither go below the floor nor avoid it by another kind
test_floor_of_an_update if {
	table := {"*": {"entitlement": {"*": "sensitive"}}}
	entitlement := {"tier": "sensitive", "kind": "entitlement"}
	update := object.union(_create, {"action": "update", "before": entitlement})
	lowered := object.union(update, {"after": {"kind": "entitlement", "tier": "operational"}})
	_codes(lowered, table) == {"tier_below_floor"}
	_codes(object.union(update, {"after": {"kind": "entitlement"}}), table) == {"tier_below_floor"}
	_codes(update, table) == set()
	floors.governing(update, "production") == {"sensitive"} with data.config.tier_floors as table
}

# METADATA
# description: An older flag below its floor may change otherwise, and is governed by the floor
test_floor_of_an_older_flag if {
	table := {"*": {"release": {"*": "high-risk"}}}
	update := object.union(_create, {"action": "update", "before": _definition})
	_codes(update, table) == set()
	floors.governing(update, "production") == {"high-risk"} with data.config.tier_floors as table
	enable := object.union(_create, {"action": "enable", "after": {"enabled": true}, "facts": {"scope": "state"}})
	floors.governing(enable, "development") == {"high-risk"} with data.config.tier_floors as table
}

# METADATA
# description: Floors that cannot be understood permit nothing
test_floor_unknown if {
	every table in ["none", {"*": {"*": {"*": "sensitve"}}}, {"payments": "sensitive"}, {"*": {"release": "sensitive"}}] {
		"tier_rule_missing" in _codes(_create, table)
	}
}
