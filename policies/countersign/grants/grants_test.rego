# METADATA
# title: Grants
# description: Who can do what, for combinations of bindings, trust rules and kinds of principals.
package countersign.grants_test

import data.fixtures

_all := {"namespaces": ["*"], "environments": ["*"]}

_job := fixtures.base.parts.by_job.principal

_agent := fixtures.base.parts.by_agent.principal

_rule := {
	"issuer": "https://ci.example",
	"audience": "countersign",
	"claims": {"repository_id": "1"},
	"grant": {
		"audiences": ["control"],
		"operations": ["request.propose", "request.approve", "flag.read", "freeze.engage"],
		"environments": ["staging", "production"],
		"namespaces": ["payments", "search"],
		"token_ttl_s": 600,
	},
}

# Capability, environment and namespace of each grant to one principal.
_held(principal, role_bindings, rule) := {[grant.capability, grant.environment, grant.namespace] |
	some grant in answer.grants
} if {
	answer := data.countersign.access with input as {"principals": [principal]}
		with data.config.role_bindings as role_bindings
		with data.config.trust_rules.tested as rule
}

_roles := {"roles": ["flag-deployer", "flag-approver"]}

_bound_job(binding) := {"trust_rules": {"tested": [object.union(binding, _roles)]}}

_tested_job := object.union(_job, {"token": {"trust_rule": "tested"}})

# METADATA
# description: A workload has what both its bindings and its trust rule cover
test_workload_is_the_intersection[note] if {
	some note, example in {
		"both": {"binding": _all, "held": {
			["propose", "staging", "payments"], ["propose", "staging", "search"],
			["propose", "production", "payments"], ["propose", "production", "search"],
			["read", "staging", "payments"], ["read", "staging", "search"],
			["read", "production", "payments"], ["read", "production", "search"],
		}},
		"one place": {
			"binding": {"namespaces": ["payments", "billing"], "environments": ["production", "development"]},
			"held": {["propose", "production", "payments"], ["read", "production", "payments"]},
		},
		"nothing in common": {"binding": {"namespaces": ["billing"], "environments": ["production"]}, "held": set()},
		"an environment that nobody knows": {"binding": {"namespaces": ["*"], "environments": ["moon"]}, "held": set()},
	}
	_held(_tested_job, _bound_job(example.binding), _rule) == example.held
}

# METADATA
# description: What a trust rule does not grant is excluded, however wide the bindings are
test_trust_rule_closes[note] if {
	some note, rule in {
		"the other kind": object.union(_rule, {"kind": "agent"}),
		"no operations": object.union(_rule, {"grant": {"operations": []}}),
		"persons only": object.union(_rule, {"grant": {"operations": ["request.approve", "freeze.engage"]}}),
		"another audience": object.union(_rule, {"grant": {"audiences": ["data:production"]}}),
		"no environments": object.union(_rule, {"grant": {"environments": []}}),
		"no namespaces": object.union(_rule, {"grant": {"namespaces": []}}),
		"no grant": object.remove(_rule, ["grant"]),
	}
	_held(_tested_job, _bound_job(_all), rule) == set()
}

# METADATA
# description: A job whose human is unknown cannot propose
test_unknown_person_does_not_propose if {
	stranger := object.union(_tested_job, {"person": "github:90011"})
	{grant[0] | some grant in _held(stranger, _bound_job(_all), _rule)} == {"read"}
}

# METADATA
# description: An agent has what both its sponsor's groups and its rule grant, and nothing by its own id
test_agent[note] if {
	groups := {_agent.issuer: {"payments-developers": [object.union(_all, {"roles": ["flag-deployer", "flag-approver"]})]}}
	agent := object.union(_agent, {"token": {"trust_rule": "tested"}})
	rule := object.union(_rule, {"kind": "agent", "grant": {"environments": ["staging"], "namespaces": ["payments"]}})
	some note, example in {
		"both": {"principal": agent, "bindings": {"groups": groups}, "held": {
			["propose", "staging", "payments"],
			["read", "staging", "payments"],
		}},
		"a sponsor with nothing": {"principal": agent, "bindings": {"groups": {}}, "held": set()},
		"for nobody": {"principal": object.union(agent, {"person": null}), "bindings": {"groups": groups}, "held": set()},
		"its own id": {
			"principal": agent,
			"bindings": {"principals": {agent.id: [object.union(_all, {"roles": ["flag-deployer"]})]}},
			"held": set(),
		},
		"its rule": {
			"principal": agent,
			"bindings": {"trust_rules": {"tested": [object.union(_all, {"roles": ["flag-deployer"]})]}},
			"held": set(),
		},
	}
	_held(example.principal, example.bindings, rule) == example.held
}

# METADATA
# description: Capabilities over everything require a binding to everything
test_administration_is_everywhere[note] if {
	morgan := fixtures.base.parts.by_morgan.principal
	some note, example in {
		"everywhere": {"binding": _all, "capabilities": {"administer", "read"}},
		"one namespace": {"binding": {"namespaces": ["payments"], "environments": ["*"]}, "capabilities": {"read"}},
		"one environment": {"binding": {"namespaces": ["*"], "environments": ["production"]}, "capabilities": {"read"}},
	}
	bindings := {"principals": {morgan.id: [object.union(example.binding, {"roles": ["policy-maintainer"]})]}}
	{grant[0] | some grant in _held(morgan, bindings, _rule)} == example.capabilities
}

# METADATA
# description: A grant names its binding, by claim, group, trust rule or id
test_bindings_are_named if {
	principal := object.union(fixtures.base.parts.by_dana.principal, {"claims": {"department": "shop"}})
	reader := object.union(_all, {"roles": ["flag-reader"]})
	role_bindings := {
		"groups": {principal.issuer: {"payments-developers": [object.union(_all, {"roles": ["scheduler"]}), reader]}},
		"claims": {principal.issuer: {"department": {"shop": [reader]}}},
		"principals": {principal.id: [reader], "person:demo:nobody": [reader]},
		"trust_rules": {"payments-deploy": [reader], "gone": [reader]},
	}
	answer := data.countersign.access with input as {"principals": [principal]}
		with data.config.role_bindings as role_bindings
	{grant.binding | some grant in answer.grants} == {
		{"by": "group", "issuer": principal.issuer, "key": "payments-developers", "index": 1},
		{"by": "claim", "issuer": principal.issuer, "key": "department=shop", "index": 0},
		{"by": "principal", "issuer": null, "key": principal.id, "index": 0},
	}
	{[binding.key, binding.index, binding.capabilities] | some binding in answer.bindings} == {
		["payments-developers", 0, []],
		["payments-developers", 1, ["read"]],
		["department=shop", 0, ["read"]],
		["person:demo:dana", 0, ["read"]],
		["person:demo:nobody", 0, ["read"]],
		["payments-deploy", 0, ["read"]],
		["gone", 0, []],
	}
}

# METADATA
# description: >-
#   A binding to the id of a workload is limited by the rule in the id; one to the id of an agent grants nothing
test_bindings_by_id[id] if {
	binding := object.union(_all, {"roles": ["flag-deployer", "flag-emergency-override"]})
	some id, capabilities in {
		"workload:payments-deploy:repo": ["propose", "read"],
		"workload:release-agent:repo": [],
		"workload:countersign:other": ["propose", "read"],
		"agent:payments-deploy:repo": [],
		"agent:release-agent:repo": [],
		"person:demo:riley": ["administer", "override", "propose", "read"],
	}
	answer := data.countersign.access with input as {"principals": []}
		with data.config.role_bindings as {"principals": {id: [binding]}}
	answer.grants == []
	[each.capabilities | some each in answer.bindings] == [capabilities]
}
