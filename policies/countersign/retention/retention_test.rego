package countersign.retention_test

import data.countersign.retention

_about(operation, kind) := {
	"operation": operation,
	"request": {"kind": kind, "object": {"type": "person", "id": "p", "newest_ms": 5000}},
}

_wanted := {"person.erase": {"retention": {"min_age_s": 100}}}

# METADATA
# description: An erasure waits until the last record that names the person is old enough
test_waits if {
	every operation in ["request.propose", "request.apply"] {
		retention.waits == {105000} with input as _about(operation, "person.erase")
			with data.config.request_kinds as _wanted
	}
	retention.waits == set() with input as _about("request.approve", "person.erase")
		with data.config.request_kinds as _wanted
}

# METADATA
# description: Without a minimum it is denied
test_without_a_minimum if {
	some kinds in [{}, {"person.erase": {}}, {"person.erase": {"retention": {}}}]
	codes := {reason.code | some reason in retention.deny with input as _about("request.apply", "person.erase")
		with data.config.request_kinds as kinds}
	codes == {"retention_missing"}
}

# METADATA
# description: Other kinds have none
test_other_kinds if {
	document := {"operation": "request.apply", "request": {"kind": "freeze.lift", "object": {"type": "freeze"}}}
	retention.deny == set() with input as document
	retention.waits == set() with input as document with data.config.request_kinds as _wanted
}
