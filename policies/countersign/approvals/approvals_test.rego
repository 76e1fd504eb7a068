# METADATA
# title: Approvals
# description: Assignment of humans to roles, where several humans qualify for several roles.
package countersign.approvals_test

import data.countersign.approvals
import data.fixtures

_place := {"namespaces": ["*"], "environments": ["*"]}

_vote(human, role_names) := {
	"digest": "sha256:1",
	"at_ms": 0,
	"principal": object.union(fixtures.base.votes.alex.principal, {
		"id": concat(":", ["person", human]),
		"person": human,
		"groups": role_names,
	}),
}

_bindings[role] := [object.union(_place, {"roles": [role]})] if some role in ["a", "b", "c"]

# A separate tier, because `with` merges an object into the existing one.
_missing(wanted, votes) := missing if {
	change := object.union(fixtures.base.change, {"flag": {"tier": "tested"}})
	document := object.union(fixtures.base.input, {"approvals": votes, "request": {"changes": [change]}})
	rule := {"approvals": wanted, "ticket": false, "windows": [], "account_approvers": false, "sign_in": null}
	missing := {obligation.role: obligation.count | some obligation in approvals.missing} with input as document
		with data.config.role_bindings.groups as {document.principal.issuer: _bindings}
		with data.config.tiers.tested.production.raise as rule
}

# METADATA
# description: The missing approvals, for different sets of approvers
test_matching[note] if {
	some note, example in {
		"nobody": {"wanted": {"a": 1, "b": 2}, "votes": [], "missing": {"a": 1, "b": 2}},
		"one of each": {"wanted": {"a": 1, "b": 1}, "votes": [["x", ["a"]], ["y", ["b"]]], "missing": {}},
		"one for both": {"wanted": {"a": 1, "b": 1}, "votes": [["x", ["a", "b"]]], "missing": {"b": 1}},
		"the free one steps aside": {
			"wanted": {"a": 1, "b": 1},
			"votes": [["x", ["a", "b"]], ["y", ["a"]]],
			"missing": {},
		},
		"two free ones": {"wanted": {"a": 1, "b": 1}, "votes": [["x", ["a", "b"]], ["y", ["a", "b"]]], "missing": {}},
		"the same human twice": {"wanted": {"a": 2}, "votes": [["x", ["a"]], ["x", ["a", "b"]]], "missing": {"a": 1}},
		"a second of the same role is no other role": {
			"wanted": {"a": 1, "b": 1},
			"votes": [["x", ["a"]], ["y", ["a"]]],
			"missing": {"b": 1},
		},
		"three roles and two humans": {
			"wanted": {"a": 1, "b": 1, "c": 1},
			"votes": [["x", ["a", "b", "c"]], ["y", ["a", "b", "c"]]],
			"missing": {"c": 1},
		},
		"three roles, one too many asked rather than one too few": {
			"wanted": {"a": 1, "b": 1, "c": 1},
			"votes": [["x", ["a", "b"]], ["y", ["a"]], ["z", ["c"]]],
			"missing": {"b": 1},
		},
		"none wanted": {"wanted": {"a": 0}, "votes": [], "missing": {}},
	}
	votes := [_vote(vote[0], vote[1]) | some vote in example.votes]
	_missing(example.wanted, votes) == example.missing
}
