# METADATA
# title: Data
# description: The data under `data.config` is complete and refers only to what exists.
package countersign.config_test

_tiers := {"informational", "operational", "sensitive", "high-risk"}

_roles contains role if {
	some operation in data.config.operations
	some names in operation.roles
	some role in names
}

_roles contains role if {
	some kind in data.config.request_kinds
	some names in kind.roles
	some role in names
}

_rules contains rule if {
	some kinds in data.config.tiers
	some movements in kinds
	some rule in movements
}

_rules contains kind.rule if some kind in data.config.request_kinds

# METADATA
# description: Each kind of request defines its roles, its place and its requirements
test_request_kinds_are_complete if {
	operations := {operation | some operation, row in data.config.operations; row.roles["flag.change"]}
	every kind in data.config.request_kinds {
		object.keys(kind.roles) == operations - {"breakglass.apply"}
		kind.place in {"object", "everywhere"}
		kind.under_freeze in {"refused", "passes"}
		is_boolean(kind.persons_only)
		is_array(kind.stand_ins)
		is_string(kind.held.code)
		is_string(kind.held.detail)
	}
}

_bindings contains binding if {
	some source in ["groups", "claims"]
	some issuer in data.config.role_bindings[source]
	some value in issuer
	some binding in value
}

_bindings contains binding if {
	some source in ["trust_rules", "principals"]
	some list in data.config.role_bindings[source]
	some binding in list
}

# METADATA
# description: Every window's zone is in the list that the broker reads
test_zones_cover_windows if {
	every window in data.config.windows {
		window.zone in data.config.zones
	}
}

# METADATA
# description: Windows have days and valid times
test_windows_are_times if {
	every window in data.config.windows {
		every day in window.days {
			day in numbers.range(1, 7)
		}
		window.start.hour in numbers.range(0, 23)
		window.end.hour in numbers.range(0, 24)
		window.start.minute in numbers.range(0, 59)
		window.end.minute in numbers.range(0, 59)
	}
}

# METADATA
# description: Windows name existing calendars
test_windows_name_calendars if {
	every window in data.config.windows {
		every calendar in object.get(window, "holidays", []) {
			is_object(data.config.holidays[calendar])
		}
	}
}

# METADATA
# description: Holidays are dates with a name
test_holidays_are_dates if {
	every calendar in data.config.holidays {
		every date, name in calendar {
			_is_date(date)
			trim_space(name) != ""
		}
	}
}

# METADATA
# description: Blackouts start before they end, in a zone that the broker reads, with a reason and a scope that exists
test_blackouts_are_periods if {
	every blackout in data.config.blackouts {
		blackout.zone in data.config.zones
		_place(blackout.start) < _place(blackout.end)
		trim_space(blackout.reason) != ""
		object.keys(blackout) - {
			"zone", "start", "end", "reason",
			"environments", "namespaces", "except_tiers", "lower_passes", "request_kinds",
		} == set()
		{kind | some kind in blackout.environments} - {row.kind | some row in data.config.environments} == set()
		{tier | some tier in blackout.except_tiers} - _tiers == set()
		{kind | some kind in blackout.request_kinds} - ({"flag.change"} | object.keys(data.config.request_kinds)) == set()
	}
}

_place(time) := [time.date, (time.hour * 60) + time.minute] if {
	_is_date(time.date)
	time.hour in numbers.range(0, 24)
	time.minute in numbers.range(0, 59)
}

_is_date(date) if regex.match(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$`, date)

# METADATA
# description: Each tier has a rule for each kind of environment and each movement
test_tiers_are_complete if {
	object.keys(data.config.tiers) == _tiers
	every tier in _tiers {
		every environment in data.config.environments {
			object.keys(data.config.tiers[tier][environment.kind]) == {"raise", "lower"}
		}
	}
}

# METADATA
# description: Rules are complete, and name existing roles and windows
test_rules_are_well_formed if {
	every rule in _rules {
		object.keys(rule) == {"approvals", "ticket", "windows", "account_approvers", "sign_in"}
		object.keys(rule.approvals) - _roles == set()
		every name in rule.windows {
			data.config.windows[name]
		}
	}
}

# METADATA
# description: Lowering never requires an approval, a ticket or a window that raising does not require
test_switching_off_is_not_harder if {
	every kinds in data.config.tiers {
		every movements in kinds {
			object.keys(movements.lower.approvals) - object.keys(movements.raise.approvals) == set()
			every role, wanted in movements.lower.approvals {
				wanted <= movements.raise.approvals[role]
			}
			movements.lower.ticket in {false, movements.raise.ticket}
			count(movements.lower.windows) <= count(movements.raise.windows)
		}
	}
}

# METADATA
# description: Bindings name roles that some operation uses, and existing trust rules
test_bindings_are_known if {
	every binding in _bindings {
		{role | some role in binding.roles} - _roles == set()
		count(binding.namespaces) > 0
		count(binding.environments) > 0
	}
	every name, _ in data.config.role_bindings.trust_rules {
		data.config.trust_rules[name]
	}
}

# METADATA
# description: A trust rule grants existing operations and environments
test_trust_rules_are_known if {
	every rule in data.config.trust_rules {
		every operation in rule.grant.operations {
			data.config.operations[operation]
		}
		every environment in rule.grant.environments {
			environment in (object.keys(data.config.environments) | {"*"})
		}
	}
}

# METADATA
# description: >-
#   No alias maps to another alias, so that one look-up finds the human outside of the broker too. A platform that uses
#   sign-in names has the same name on both sides
test_persons_are_canonical if {
	every name in data.config.persons {
		object.get(data.config.persons, name, name) == name
	}
}

# METADATA
# description: The approvals for single users are defined for each tier and kind of environment
test_exceptions_are_complete if {
	object.keys(data.config.exceptions) - _tiers == {"*"}
	every kinds in data.config.exceptions {
		every environment in data.config.environments {
			object.keys(kinds[environment.kind].approvals) - _roles == set()
		}
	}
}

# METADATA
# description: Floors are by kind of flag and kind of environment, and name existing tiers
test_floors_are_known if {
	environments := {environment.kind | some environment in data.config.environments} | {"*"}
	every kinds in data.config.tier_floors {
		object.keys(kinds) - {"release", "entitlement", "operational", "experiment", "*"} == set()
		every floors in kinds {
			object.keys(floors) - environments == set()
			every tier in floors {
				tier in _tiers
			}
		}
	}
}

# METADATA
# description: The approvals for new flags are defined for each tier, and more than one person makes those that matter
test_new_flags_are_complete if {
	object.keys(data.config.new_flags) == _tiers
	every tier, rule in data.config.new_flags {
		object.keys(rule.approvals) - _roles == set()
		_takes_two(tier, rule.approvals)
	}
}

_takes_two("informational", _)

_takes_two(_, approvals) if {
	some wanted in approvals
	wanted > 0
}

# METADATA
# description: A rule that may propose names who triggers the job, so that nobody approves their own job's request
test_trust_rules_name_a_person if {
	every rule in data.config.trust_rules {
		_names_a_person(rule)
	}
}

_names_a_person(rule) if not "request.propose" in rule.grant.operations

_names_a_person(rule) if is_object(rule.person)

_names_a_person(rule) if rule.kind == "agent"

# METADATA
# description: Limits are numbers, and the required one is present
test_limits_are_numbers if {
	every limit in data.config.limits {
		is_number(limit)
	}
	is_number(data.config.limits.request_ttl_s)
}

# METADATA
# description: Each operation defines its place, its token audiences, its principals, and the effect of a freeze
test_operations_are_complete if {
	every operation in data.config.operations {
		object.keys(operation) - {"shows"} == {"at", "audiences", "by", "under_freeze", "roles"}
		operation.at in {"request", "freeze", "seen", "somewhere", "everywhere", "own", "none"}
		operation.under_freeze in {"passes", "safe_only", "refused"}
		count(operation.by) > 0
		{kind | some kind in operation.by} - {"person", "workload", "agent", "broker"} == set()
	}
}

# METADATA
# description: An order of exposure has each variant once
test_exposure_orders_are_orders if {
	every order in data.config.exposure_order {
		count(order) == count({variant | some variant in order})
	}
}

# METADATA
# description: Each protected organization has a reason
test_protected_organizations_have_a_reason if {
	every reason in data.config.protected_organizations {
		trim_space(reason) != ""
	}
}
