# METADATA
# title: Lifetimes
# description: Variants of the data for lifetimes, and required members.
package countersign.lifetimes_test

import data.fixtures

_exchange(token) := object.union(fixtures.base.input, {
	"operation": "token.exchange",
	"request": null,
	"environment": null,
	"principal": object.union(fixtures.base.parts.by_job.principal, {"token": token}),
})

# METADATA
# description: A token has the shortest lifetime of everything that it is for
test_shortest_counts[note] if {
	lifetimes := {
		"default": 600,
		"operations": {"request.apply": 120, "request.edit": 900, "flag.read": 1800},
		"audiences": {"data": 60},
		"tiers": {"high-risk": 30},
	}
	some note, example in {
		"named": {"token": {"scope": ["request.apply"]}, "ttl_s": 120},
		"longer than the default": {"token": {"scope": ["request.edit", "flag.read"]}, "ttl_s": 900},
		"one that is not named": {"token": {"scope": ["request.edit", "request.read"]}, "ttl_s": 600},
		"the shortest": {"token": {"scope": ["request.edit", "request.apply", "request.read"]}, "ttl_s": 120},
		"no scope": {"token": {"scope": []}, "ttl_s": 600},
		"data": {"token": {"scope": [], "audience": "data:production"}, "ttl_s": 60},
		"data with operations": {"token": {"scope": ["flag.read"], "audience": "data:production"}, "ttl_s": 60},
		"no audience of data": {"token": {"scope": [], "audience": "database"}, "ttl_s": 600},
	}
	result := data.countersign.decision with input as _exchange(example.token)
		with data.config.token_lifetimes as lifetimes
	result.effect == "allow"
	result.limits == object.union(data.config.limits, {"token_ttl_s": example.ttl_s})
}

# METADATA
# description: Without a lifetime there is no token and no write
test_missing_lifetimes[note] if {
	write := object.union(fixtures.base.input, {
		"request": {"changes": [object.union(fixtures.base.change, {"flag": {"tier": "informational"}})]},
		"principal": object.union(
			fixtures.base.parts.by_job.principal,
			{"token": {"issued_ms": fixtures.base.input.clock.now_ms}},
		),
	})
	some note, lifetimes in {
		"none": null,
		"no default": {"default": null, "operations": null, "audiences": null, "tiers": null},
		"no numbers": {"default": "long", "operations": {}, "audiences": {}, "tiers": {}},
	}
	exchange := data.countersign.decision with input as _exchange({"scope": ["request.read"]})
		with data.config.token_lifetimes as lifetimes
	[reason.code | some reason in exchange.reasons] == ["lifetime_missing"]
	result := data.countersign.decision with input as write with data.config.token_lifetimes as lifetimes
	[reason.code | some reason in result.reasons] == ["token_too_old"]
}

# METADATA
# description: Tiers of lifetimes exist, and a more dangerous tier never accepts an older token
test_tiers_get_shorter if {
	lifetimes := data.config.token_lifetimes
	ranks := {"informational": 0, "operational": 1, "sensitive": 2, "high-risk": 3}
	every tier, seconds in lifetimes.tiers {
		every other, rank in ranks {
			_is_not_longer(ranks[tier], seconds, rank, object.get(lifetimes.tiers, other, lifetimes["default"]))
		}
	}
	every operation, _ in lifetimes.operations {
		data.config.operations[operation]
	}
	every audience, _ in lifetimes.audiences {
		audience == "data"
	}
}

# METADATA
# description: A sign-in is accepted for as long as the data says, without a limit if it says nothing
test_sign_in_age[note] if {
	now_ms := fixtures.base.input.clock.now_ms
	some note, example in {
		"to the second": {"auth_time_ms": now_ms - 3600000, "limit": {"sign_in": 3600}, "denied": false},
		"a millisecond more": {"auth_time_ms": now_ms - 3600001, "limit": {"sign_in": 3600}, "denied": true},
		"unknown": {"auth_time_ms": null, "limit": {"sign_in": 3600}, "denied": true},
		"in the future": {"auth_time_ms": now_ms + 3600000, "limit": {"sign_in": 3600}, "denied": true},
		"unknown, without a limit": {"auth_time_ms": null, "limit": {}, "denied": false},
		"long ago, without a limit": {"auth_time_ms": 0, "limit": {}, "denied": false},
	}
	principal := object.union(
		fixtures.base.parts.by_dana.principal,
		{"auth": object.union(fixtures.base.input.principal.auth, {"auth_time_ms": example.auth_time_ms})},
	)
	denied := data.countersign.lifetimes.deny with input as object.union(
		fixtures.base.input,
		{"operation": "flag.read", "principal": principal},
	)
		with data.config.token_lifetimes as object.union({"default": 600}, example.limit)
	{reason.code | some reason in denied} == {"sign_in_too_old" | example.denied}
}

_is_not_longer(rank, seconds, other_rank, other_seconds) if {
	rank > other_rank
	seconds <= other_seconds
}

_is_not_longer(rank, _, other_rank, _) if rank <= other_rank
