package countersign.cosigned_test

import data.countersign.cosigned
import data.countersign.obligations
import data.fixtures

_asked := {"production": {"max_age_s": 600}}

_now := fixtures.base.input.clock.now_ms

_raise := object.union(fixtures.base.input, {"request": {"changes": [fixtures.base.change]}})

_lower := object.union(fixtures.base.input, {"request": {"changes": [object.union(fixtures.base.change, {"facts": {
	"direction": "off",
	"audience_grew": false,
	"safe": true,
}})]}})

_at(document, age_s) := object.union(
	document,
	{"log": {"size": 10, "cosigned": {"size": 9, "at_ms": _now - (age_s * 1000)}}},
)

_never(document) := object.union(document, {"log": {"size": 10, "cosigned": null}})

# METADATA
# description: A change that raises in production waits for a fresh quorum
test_raise if {
	cosigned.outstanding == 600 with input as _at(_raise, 601) with data.config.cosigned as _asked
	cosigned.outstanding == 600 with input as _never(_raise) with data.config.cosigned as _asked
	not cosigned.outstanding with input as _at(_raise, 600) with data.config.cosigned as _asked
}

# METADATA
# description: Without the fact it waits, too
test_missing if cosigned.outstanding == 600 with input as _raise with data.config.cosigned as _asked

# METADATA
# description: The obligation says how fresh the quorum has to be
test_obligation if {
	{"kind": "cosigned", "max_age_s": 600} in obligations.outstanding with input as _never(_raise)
		with data.config.cosigned as _asked
}

# METADATA
# description: Switching off does not wait, and neither does another kind of environment or of request
test_others if {
	not cosigned.outstanding with input as _never(_lower) with data.config.cosigned as _asked
	staging := object.union(_raise, {"environment": {"key": "staging", "kind": "staging"}})
	not cosigned.outstanding with input as _never(staging) with data.config.cosigned as _asked
	lift := object.union(_raise, {"request": {"kind": "freeze.lift", "changes": []}})
	not cosigned.outstanding with input as _never(lift) with data.config.cosigned as _asked
}

# METADATA
# description: Nothing waits unless the data says so
test_off if {
	not cosigned.outstanding with input as _never(_raise) with data.config.cosigned as {}
	not cosigned.outstanding with input as _never(_raise)
}
