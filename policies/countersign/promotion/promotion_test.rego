package countersign.promotion_test

import data.countersign.promotion

_codes(operation, about, wanted) := {reason.code |
	some reason in promotion.deny with input as {
		"operation": operation,
		"request": {"kind": "policy.activate", "object": about},
	}
		with data.config.request_kinds as {"policy.activate": wanted}
}

_wanted := {"promotion": {"min_age_s": 100, "min_decisions": 10}}

_tried(age_s, decisions) := {"type": "policy", "promotes": {"age_s": age_s, "decisions": decisions}}

# METADATA
# description: A module that was tried too shortly, or decided too little, is denied when it is proposed and applied
test_too_early_is_denied if {
	every operation in ["request.propose", "request.apply"] {
		every about in [_tried(99, 10), _tried(100, 9), _tried(0, 0)] {
			_codes(operation, about, _wanted) == {"promotion_too_early"}
		}
	}
}

# METADATA
# description: One that was tried enough is not, and neither is what promotes nothing
test_others_are_not if {
	every about in [_tried(100, 10), {"type": "policy"}, null] {
		_codes("request.apply", about, _wanted) == set()
	}
	_codes("request.approve", _tried(0, 0), _wanted) == set()
	_codes("request.apply", _tried(0, 0), {}) == set()
}

# METADATA
# description: The reason says what is wanted, and what was
test_detail if {
	some reason in promotion.deny with input as {
		"operation": "request.propose",
		"request": {"kind": "policy.activate", "object": _tried(5, 3)},
	}
		with data.config.request_kinds as {"policy.activate": _wanted}
	contains(reason.detail, "100 seconds and 10 decisions first")
	contains(reason.detail, "for 5 seconds and 3 decisions")
}
