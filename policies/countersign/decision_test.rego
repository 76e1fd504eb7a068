# METADATA
# title: Decision
# description: Deny by default, and cases that fixtures cannot express because the broker never sends them.
package countersign_test

import data.countersign
import data.fixtures

_propose := object.union(
	fixtures.base.input,
	{"request": {"changes": [fixtures.base.change]}},
)

_codes(document) := codes if {
	decision := countersign.decision with input as document
	decision.effect == "deny"
	decision.obligations == []
	codes := {reason.code | some reason in decision.reasons}
}

# METADATA
# description: An input that is not an object with facts is denied, with a reason
test_garbage_is_denied[note] if {
	some note, document in {
		"empty": {},
		"null": null,
		"array": [],
		"string": "request.propose",
		"operation only": {"operation": "request.propose"},
	}
	count(_codes(document)) > 0
}

# METADATA
# description: An operation that the policy does not know is denied
test_unknown_operation if {
	"unknown_operation" in _codes(object.union(_propose, {"operation": "flag.destroy"}))
}

# METADATA
# description: Removing any single fact never results in an allow
test_missing_fact[path] if {
	self_service := object.union(_propose, {"request": {"changes": [object.union(
		fixtures.base.change,
		{"flag": {"tier": "informational"}},
	)]}})
	some path in {
		"schema_version", "operation", "principal", "request", "emergency", "clock", "environment",
		"principal/id", "principal/kind", "principal/token", "principal/token/audience",
		"emergency/frozen", "clock/now_ms", "request/kind", "request/changes", "request/created_ms",
		"request/changes/0/facts", "request/changes/0/facts/direction", "request/changes/0/facts/scope",
		"request/changes/0/facts/audience_grew", "request/changes/0/facts/exception_used",
		"request/changes/0/facts/organizations_added", "request/changes/0/facts/organizations_removed",
		"request/changes/0/facts/safe", "request/changes/0/facts/swaps",
		"request/changes/0/facts/organizations_named", "request/changes/0/facts/reaches_everybody",
		"request/changes/0/facts/tier_lowered_from", "request/changes/0/flag", "request/changes/0/flag/tier",
		"request/changes/0/flag/namespace",
	}
	decision := countersign.decision with input as _without(self_service, path)
	decision.effect == "deny"
}

# METADATA
# description: A self-service change is allowed if all facts are present, so that the test above is meaningful
test_nothing_missing if {
	decision := countersign.decision with input as object.union(
		_propose,
		{"request": {"changes": [object.union(fixtures.base.change, {"flag": {"tier": "informational"}})]}},
	)
	decision.effect == "allow"
}

# METADATA
# description: A rule with a missing member does not require less
test_incomplete_rule[member] if {
	change := object.union(fixtures.base.change, {"flag": {"tier": "tested"}})
	some member in ["approvals", "ticket", "windows", "account_approvers", "sign_in"]
	rule := object.remove(data.config.tiers.operational.production.raise, [member])
	decision := countersign.decision with input as object.union(_propose, {"request": {"changes": [change]}})
		with data.config.tiers.tested.production.raise as rule
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["tier_rule_missing"]
}

# METADATA
# description: A tier without a rule for single users is denied
test_incomplete_exceptions[note] if {
	excepted := object.union(fixtures.base.change, {"facts": {"exception_used": true}})
	some note, exceptions in {
		"nothing": null,
		"nothing for the environment kind": {"*": {"production": null}},
		"no approvals": {"operational": {"production": {}}},
	}
	decision := countersign.decision with input as object.union(_propose, {"request": {"changes": [excepted]}})
		with data.config.exceptions as exceptions
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["tier_rule_missing"]
}

# METADATA
# description: A tier's own rule for single users takes precedence over the rule for every tier
test_exceptions_of_a_tier if {
	excepted := object.union(fixtures.base.change, {"facts": {"exception_used": true}})
	decision := countersign.decision with input as object.union(_propose, {"request": {"changes": [excepted]}})
		with data.config.exceptions.operational as {"production": {"approvals": {"flag-approver": 1}}}
	decision.obligations == [{"kind": "approval", "role": "flag-approver", "count": 2}]
}

# METADATA
# description: A job's person is known only by an alias
test_alias_of_a_job[note] if {
	some note, example in {
		"mapped": {"person": "github:9001", "effect": "hold"},
		"not mapped": {"person": "github:90011", "effect": "deny"},
	}
	job := object.union(fixtures.base.parts.by_job.principal, {"person": example.person})
	document := object.union(_propose, {
		"principal": job,
		"request": {"proposer": job, "authors": [example.person]},
		"approvals": [fixtures.base.votes.alex],
	})
	decision := countersign.decision with input as document
		with data.config.persons as {"github:9001": "emp-1002"}
	decision.effect == example.effect
}

# METADATA
# description: A window whose zone has no clock results in a deny that names it
test_zone_missing if {
	sensitive := {"request": {"changes": [object.union(fixtures.base.change, {"flag": {"tier": "sensitive"}})]}}
	document := object.union(json.remove(_propose, ["clock/zones"]), sensitive)
	_codes(document) == {"zone_missing"}
}

# METADATA
# description: A binding may depend on a verified claim
test_claim_binding if {
	binding := {"roles": ["flag-deployer"], "namespaces": ["payments"], "environments": ["production"]}
	principal := object.union(fixtures.base.parts.by_stranger.principal, {"claims": {"department": "shop"}})
	decision := countersign.decision with input as object.union(_propose, {"principal": principal})
		with data.config.role_bindings.claims as {principal.issuer: {"department": {"shop": [binding]}}}
	decision.effect == "hold"
}

# METADATA
# description: A list across namespaces still requires a role in the environment that it shows
test_read_of_another_environment if {
	binding := {"roles": ["flag-reader"], "namespaces": ["payments"], "environments": ["staging"]}
	principal := fixtures.base.parts.by_stranger.principal
	document := object.union(
		fixtures.base.input,
		{"operation": "flag.read", "request": null, "principal": principal},
	)
	decision := countersign.decision with input as document
		with data.config.role_bindings.principals as {principal.id: [binding]}
	[reason.code | some reason in decision.reasons] == ["role_missing"]
	allowed := countersign.decision with input as object.union(document, {"environment": {"key": "staging"}})
		with data.config.role_bindings.principals as {principal.id: [binding]}
	allowed.effect == "allow"
}

# METADATA
# description: >-
#   A read of a namespace in an environment requires one binding that covers both; two partial bindings are not combined
test_read_is_exact[note] if {
	principal := fixtures.base.parts.by_stranger.principal
	bindings := [
		{"roles": ["flag-reader"], "namespaces": ["payments"], "environments": ["staging"]},
		{"roles": ["flag-reader"], "namespaces": ["search"], "environments": ["production"]},
		{"roles": ["scheduler"], "namespaces": ["*"], "environments": ["*"]},
	]
	some note, example in {
		"its own": {"namespace": "payments", "environment": "staging", "effect": "allow"},
		"its own, the other": {"namespace": "search", "environment": "production", "effect": "allow"},
		"crossed": {"namespace": "payments", "environment": "production", "effect": "deny"},
		"crossed, the other": {"namespace": "search", "environment": "staging", "effect": "deny"},
		"a prefix": {"namespace": "pay", "environment": "staging", "effect": "deny"},
		"another case": {"namespace": "Payments", "environment": "staging", "effect": "deny"},
		"an environment of nobody": {"namespace": "payments", "environment": "development", "effect": "deny"},
		"all of them": {"namespace": "*", "environment": "staging", "effect": "deny"},
		"no name": {"namespace": "", "environment": "staging", "effect": "deny"},
	}
	some operation in ["flag.read", "request.read", "freeze.read"]
	document := object.union(fixtures.base.input, {
		"operation": operation,
		"request": null,
		"principal": principal,
		"namespace": example.namespace,
		"environment": {"key": example.environment},
	})
	decision := countersign.decision with input as document
		with data.config.role_bindings.principals as {principal.id: bindings}
	decision.effect == example.effect
}

# METADATA
# description: A workload with a binding to its id is still limited by its trust rule, including as a proposer
test_named_workload_keeps_to_its_rule if {
	proposer := object.union(fixtures.base.votes.job.principal, {"token": {"trust_rule": "gone"}})
	binding := {"roles": ["flag-deployer"], "namespaces": ["*"], "environments": ["*"]}
	document := object.union(_propose, {"operation": "request.apply", "request": {"proposer": proposer}})
	decision := countersign.decision with input as document
		with data.config.role_bindings.principals as {proposer.id: [binding]}
	[reason.code | some reason in decision.reasons] == ["proposer_lost_role"]
}

# METADATA
# description: A role that no operation uses grants nothing
test_unknown_role if {
	binding := {"roles": ["owner-of-everything"], "namespaces": ["*"], "environments": ["*"]}
	principal := fixtures.base.parts.by_stranger.principal
	decision := countersign.decision with input as object.union(_propose, {"principal": principal})
		with data.config.role_bindings.principals as {principal.id: [binding]}
	[reason.code | some reason in decision.reasons] == ["role_missing"]
}

# METADATA
# description: If freezes allow no exceptions, safe directions are refused too
test_freeze_without_exceptions if {
	off := object.union(fixtures.base.change, {"facts": {"direction": "off", "audience_grew": false, "safe": true}})
	document := object.union(_propose, {"request": {"changes": [off]}, "emergency": {"frozen": true}})
	decision := countersign.decision with input as document with data.config.freeze.safe_directions_pass as false
	[reason.code | some reason in decision.reasons] == ["frozen"]
}

# METADATA
# description: A freeze of one flag is judged in its namespace and environment
test_freeze_of_a_flag if {
	freeze := {
		"scope": "flag", "environment": "production", "namespace": "payments", "flag": "new-checkout",
		"incident": "INC-7", "reason": "errors",
	}
	decision := countersign.decision with input as object.union(_propose, {
		"operation": "freeze.engage",
		"request": null,
		"principal": fixtures.base.parts.by_riley.principal,
		"emergency": {"engage": freeze},
	})
	decision.effect == "allow"
}

# METADATA
# description: A kind without requirements in the policy is denied
test_kind_without_rule[note] if {
	entry := data.config.request_kinds["revocation.lift"]
	some note, kind in {
		"no rule": object.remove(entry, ["rule"]),
		"a null rule": object.union(entry, {"rule": null}),
		"half a rule": object.union(object.remove(entry, ["rule"]), {"rule": {"sign_in": "none"}}),
	}
	decision := countersign.decision with input as _lift with data.config.request_kinds["revocation.lift"] as kind
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["tier_rule_missing"]
}

# METADATA
# description: A kind without an entry, or without roles or a place, is denied to everybody
test_kind_for_nobody[note] if {
	entry := data.config.request_kinds["revocation.lift"]
	some note, kinds in {
		"no entry": {},
		"no roles": {"revocation.lift": object.remove(entry, ["roles"])},
		"no place": {"revocation.lift": object.remove(entry, ["place"])},
	}
	decision := countersign.decision with input as _lift with data.config.request_kinds as kinds
	decision.effect == "deny"
	"role_missing" in {reason.code | some reason in decision.reasons}
}

# METADATA
# description: A kind without an object is denied
test_kind_without_object if {
	document := object.union(_lift, {"request": {"object": null}})
	decision := countersign.decision with input as document
	decision.effect == "deny"
	"missing_fact" in {reason.code | some reason in decision.reasons}
}

# METADATA
# description: Erasing a person takes an auditor and somebody from security, and waits for the minimum retention
test_erasure[note] if {
	some note, tested in {
		"nobody approved": {"votes": [], "age_s": 31536000, "effect": "hold", "codes": ["held_for_erasure"]},
		"no auditor": {
			"votes": [fixtures.base.votes.sam],
			"age_s": 31536000, "effect": "hold", "codes": ["held_for_erasure"],
		},
		"both": {
			"votes": [fixtures.base.votes.sam, _by_avery],
			"age_s": 31536000, "effect": "allow", "codes": ["requirements_met"],
		},
		"too young": {
			"votes": [fixtures.base.votes.sam, _by_avery],
			"age_s": 31535999, "effect": "hold", "codes": ["held_for_retention"],
		},
	}
	newest_ms := fixtures.base.input.clock.now_ms - (tested.age_s * 1000)
	decision := countersign.decision with input as object.union_n([
		fixtures.base.input,
		fixtures.base.parts["request.apply"],
		fixtures.base.parts.by_scheduler,
		fixtures.base.parts.from_morgan,
		{
			"environment": null,
			"request": {"kind": "person.erase", "changes": [], "object": {
				"type": "person",
				"id": "p", "records": 3, "newest_ms": newest_ms, "revocations": [],
			}},
			"approvals": tested.votes,
		},
	])
	decision.effect == tested.effect
	[reason.code | some reason in decision.reasons] == tested.codes
}

_by_avery := object.union(
	fixtures.base.votes.sam,
	{"principal": object.union(fixtures.base.parts.by_avery.principal, {"groups_seen_ms": 1781611200000})},
)

_lift := object.union_n([
	fixtures.base.input,
	fixtures.base.parts.by_riley,
	fixtures.base.parts.from_riley,
	fixtures.base.parts.lift_revocation,
	{"approvals": [fixtures.base.votes.robin]},
])

# METADATA
# description: A workload may do provisioning if its rule and its binding cover everything
test_provisioner[note] if {
	document := object.union(fixtures.base.input, {
		"operation": "principal.disable",
		"environment": null,
		"request": null,
		"principal": object.union(
			fixtures.base.parts.by_checkout_control.principal,
			{"token": {"trust_rule": "tested"}},
		),
	})
	everything := {"namespaces": ["*"], "environments": ["*"]}
	operations := {"operations": ["principal.read", "principal.disable", "principal.enable"]}
	some note, example in {
		"everything": {"binding": {}, "grant": {}, "effect": "allow"},
		"a binding to one namespace": {"binding": {"namespaces": ["payments"]}, "grant": {}, "effect": "deny"},
		"a rule for one environment": {"binding": {}, "grant": {"environments": ["production"]}, "effect": "deny"},
		"a rule without the operation": {"binding": {}, "grant": {"operations": ["principal.read"]}, "effect": "deny"},
	}
	grant := object.union_n([everything, operations, example.grant])
	binding := object.union_n([everything, {"roles": ["provisioner"]}, example.binding])
	decision := countersign.decision with input as document
		with data.config.trust_rules.tested as {"grant": grant}
		with data.config.role_bindings.trust_rules.tested as [binding]
	decision.effect == example.effect
}

# METADATA
# description: >-
#   Only the broker's own workloads may rotate keys: neither a workload of a trust rule with the same role, nor one that
#   another binding names
test_rotation_is_the_brokers_own[note] if {
	scheduler := fixtures.base.parts.by_scheduler.principal
	bound := [{"roles": ["scheduler"], "namespaces": ["*"], "environments": ["*"]}]
	some note, principal in {
		"by a trust rule": object.union(scheduler, {"token": {"trust_rule": "payments-deploy"}}),
		"another id": object.union(scheduler, {"id": "workload:other:scheduler"}),
		"an id that begins alike": object.union(scheduler, {"id": "workload:countersigned:scheduler"}),
		"an agent": object.union(scheduler, {"kind": "agent", "person": "emp-1001"}),
	}
	document := object.union(fixtures.base.input, {
		"operation": "key.rotate",
		"environment": null,
		"request": null,
		"principal": principal,
	})
	decision := countersign.decision with input as document
		with data.config.role_bindings.principals as {principal.id: bound}
	decision.effect == "deny"
	"not_a_person" in {reason.code | some reason in decision.reasons}
}

# METADATA
# description: A principal that the input does not name is granted nothing
test_own_credential_of_nobody[operation] if {
	some operation in ["token.revoke", "session.open", "session.read", "session.end"]
	some path in ["principal", "principal/kind"]
	document := object.union(fixtures.base.input, {"operation": operation, "request": null})
	decision := countersign.decision with input as _without(document, path)
	decision.effect == "deny"
}

_without(document, path) := json.remove(document, [path])

# METADATA
# description: By default an operation is only for persons, and is stopped by a freeze
test_incomplete_operation[member] if {
	job := object.union(_propose, fixtures.base.parts.by_job)
	some member, example in {
		"by": {"document": job, "code": "not_a_person"},
		"under_freeze": {"document": object.union(_propose, {"emergency": {"frozen": true}}), "code": "frozen"},
	}
	operation := object.remove(data.config.operations["request.propose"], [member])
	codes := _codes(example.document) with data.config.operations as {"request.propose": operation}
	example.code in codes
}

# METADATA
# description: >-
#   A change that reaches everybody asks the account-approvers of the protected organizations, in the tiers that ask
#   account-approvers
test_protected_organizations[note] if {
	some note, example in {
		"sensitive": {"tier": "sensitive", "facts": {}, "asked": ["globex"]},
		"high-risk": {"tier": "high-risk", "facts": {}, "asked": ["globex"]},
		"operational": {"tier": "operational", "facts": {}, "asked": []},
		"reaches nobody else": {"tier": "sensitive", "facts": {"reaches_everybody": false}, "asked": []},
		"lower": {
			"tier": "sensitive",
			"facts": {"direction": "narrow", "audience_grew": false, "safe": true},
			"asked": ["globex"],
		},
		"lowers the tier": {
			"tier": "operational",
			"facts": {"scope": "definition", "direction": "neutral", "tier_lowered_from": "sensitive"},
			"asked": ["globex"],
		},
	}
	change := object.union_n([
		fixtures.base.change,
		{
			"flag": {"tier": example.tier},
			"before": {"tier": "sensitive", "kind": "release"},
			"after": {"tier": example.tier, "kind": "release"},
			"facts": {"reaches_everybody": true},
		},
		{"facts": example.facts},
	])
	decision := countersign.decision with input as object.union(_propose, {"request": {"changes": [change]}})
		with data.config.protected_organizations as {"globex": "by contract"}
	example.asked == [obligation.organization | some obligation in decision.obligations; obligation.organization]
}

# METADATA
# description: A variant that is not more exposed by the order of exposure is as safe as the safe one
test_exposure_order[note] if {
	order := ["off", "low", "high"]
	some note, example in {
		"down": {"swaps": [["high", "low"]], "order": order, "effect": "allow"},
		"down to the last": {"swaps": [["high", "off"], ["low", "off"]], "order": order, "effect": "allow"},
		"up": {"swaps": [["low", "high"]], "order": order, "effect": "deny"},
		"both": {"swaps": [["high", "low"], ["low", "high"]], "order": order, "effect": "deny"},
		"to a variant without a place": {"swaps": [["high", "max"]], "order": order, "effect": "deny"},
		"from a variant without a place": {"swaps": [["max", "low"]], "order": order, "effect": "deny"},
		"no swaps": {"swaps": [], "order": order, "effect": "deny"},
		"no order": {"swaps": [["high", "low"]], "order": [], "effect": "deny"},
	}
	facts := {
		"direction": "widen", "audience_grew": false, "safe": false,
		"swaps": [{"from": swap[0], "to": swap[1]} | some swap in example.swaps],
	}
	change := object.union(fixtures.base.change, {"flag": {"tier": "operational"}, "facts": facts})
	document := object.union(_propose, {"request": {"changes": [change]}, "emergency": {"frozen": true}})
	decision := countersign.decision with input as document
		with data.config.exposure_order as {"new-checkout": example.order}
	decision.effect == example.effect
}

# METADATA
# description: A proposer whose groups were not looked up for the apply has no standing
test_proposer_without_last_known_groups if {
	apply := object.union(_propose, {"operation": "request.apply"})
	not "proposer_lost_role" in {reason.code | some reason in _decided(apply).reasons}
	"proposer_lost_role" in _codes(_without(apply, "request/proposer/groups_seen_ms"))
}

_decided(document) := decision if decision := countersign.decision with input as document
