# The cases of fixtures/decisions. They also run through the built module, and the results must agree.
package countersign_test

import data.countersign
import data.fixtures

# METADATA
# description: Each case has the expected decision
test_cases[note] if {
	some file, cases in fixtures
	file != "base"
	some example in cases
	note := concat(": ", [file, example.name])
	result := countersign.decision with input as _input(example)
	_is_expected(result, example.expected)
}

_is_expected(result, expected) if {
	result.effect == expected.effect
	[reason.code | some reason in result.reasons] == expected.reasons
	result.obligations == expected.obligations
	result.limits == object.union(data.config.limits, object.get(expected, "limits", {}))
}

_input(example) := example.whole_input

# Merged left to right: the base, the changes, the named parts, the votes, the case's own members. Arrays are replaced.
_input(example) := object.union_n(array.concat(
	array.concat(
		[fixtures.base.input, {"request": {"changes": _changes(example)}}],
		[part | some name in example.use; part := fixtures.base.parts[name]],
	),
	[
		{"approvals": _votes(example, "approvals"), "rejections": _votes(example, "rejections")},
		object.get(example, "input", {}),
	],
))

_changes(example) := [object.union(fixtures.base.change, patch) | some patch in object.get(example, "changes", [])]

_votes(example, name) := [fixtures.base.votes[vote] | some vote in object.get(example, name, [])]
