# METADATA
# title: Tiers
# description: >-
#   The requirements of a request, from the rule of each tier, environment kind and movement that it touches. The
#   strictest applies: the most approvals by role, every ticket, every window, the most recent sign-in. Single users in
#   an audience require additional approvals.
# schemas:
#   - input: schema.input
package countersign.tiers

import data.countersign.asked
import data.countersign.floors
import data.countersign.own
import data.countersign.roles

# METADATA
# description: The environment kind and movement of each change, with each tier that governs it
selectors contains [tier, _kind(change.facts.scope), movement(change)] if {
	input.request.kind == "flag.change"
	some change in input.request.changes
	some tier in governing(change)
}

# METADATA
# description: The rules that govern the request
# scope: document
rules contains data.config.tiers[selector[0]][selector[1]][selector[2]] if some selector in selectors

rules contains data.config.request_kinds[input.request.kind].rule

# METADATA
# description: >-
#   Whether a change is shown to make nothing less safe: every context is served the value of before, the safe
#   variant, or a variant that is not more exposed by config/exposure_order. Never true for a definition: after a flag
#   is retired, applications use the default in their code, which is unknown here.
is_safe(change) if {
	change.facts.scope == "state"
	change.facts.audience_grew == false
	change.facts.tier_lowered_from == null
	_is_shown_safe(change)
}

# METADATA
# description: The half of a tier's rules that governs a change
movement(change) := "lower" if {
	is_safe(change)
	change.facts.direction in {"off", "narrow", "widen"}
}

else := "raise"

# METADATA
# description: >-
#   The tiers that govern a change. Lowering a flag's tier also requires what every lower tier requires: skipping a tier
#   must not skip its requirements. A flag below its floor is governed by the floor, too.
governing(change) := union({
	{change.flag.tier},
	_tiers_down_from(change.facts.tier_lowered_from),
	floors.governing(change, _kind(change.facts.scope)),
})

# METADATA
# description: The number of required approvals for each role; roles without any are omitted
approvals_wanted[role] := highest if {
	some asked in _approvals_asked
	some role, _ in asked
	highest := max([each[role] | some each in _approvals_asked])
	highest > 0
}

# METADATA
# description: The approvals by role that single users in an audience require in addition to those of the tier
# scope: document
exception_approvals contains _exceptions(excepted).approvals if some excepted in _excepted

# METADATA
# description: Organizations whose account-approver must approve
# scope: document
organizations_wanted contains organization if {
	some change in input.request.changes
	some organization in array.concat(change.facts.organizations_added, change.facts.organizations_removed)
	some tier in governing(change)
	data.config.tiers[tier][_kind(change.facts.scope)][movement(change)].account_approvers
}

organizations_wanted contains organization if some organization in organizations_consulted

# METADATA
# description: >-
#   Organizations whose account-approver must approve whatever the movement: those that a change names for the first
#   time, and the protected ones if it reaches everybody
# scope: document
organizations_consulted contains organization if {
	some change in input.request.changes
	some organization in change.facts.organizations_named
	_consults(change)
}

organizations_consulted contains organization if {
	some change in input.request.changes
	change.facts.reaches_everybody
	some organization, _ in data.config.protected_organizations
	_consults(change)
}

# METADATA
# description: A ticket is required
ticket_wanted if {
	some rule in rules
	rule.ticket
}

# METADATA
# description: The required sign-in of each approver. Undefined if no rule requires one.
sign_in_wanted := {"level": max(levels), "max_age_s": min(ages)} if {
	levels := [rule.sign_in.level | some rule in rules]
	ages := [rule.sign_in.max_age_s | some rule in rules]
	count(levels) > 0
}

# METADATA
# description: >-
#   Whether a sign-in is strong and recent enough at a time. `auth` is a principal's sign-in, `at_ms` epoch
#   milliseconds; a small clock skew of the identity provider is tolerated.
is_signed_in(auth, at_ms, wanted) if {
	auth.level >= wanted.level
	auth.auth_time_ms != null
	age_ms := at_ms - auth.auth_time_ms
	age_ms <= wanted.max_age_s * 1000
	age_ms >= data.config.limits.clock_skew_s * -1000
}

# METADATA
# description: Denies of requests without a complete rule
# scope: document
deny contains {
	"code": "tier_rule_missing",
	"detail": concat(" ", ["The policy has no complete", selector[2], "rule for tier", selector[0], "in", selector[1]]),
} if {
	asked.at == "request"
	some selector in selectors
	not _has_rule(selector)
}

deny contains {
	"code": "tier_rule_missing",
	"detail": concat(" ", ["The policy has no complete rule for requests of kind", input.request.kind]),
} if {
	input.request.kind != "flag.change"
	asked.at == "request"
	not _has_kind_rule
}

deny contains {
	"code": "tier_rule_missing",
	"detail": concat(" ", ["The policy has no rule for new flags of tier", tier, "(see config/new_flags)."]),
} if {
	asked.at == "request"
	some tier in _new_tiers
	not _has_new_flag(tier)
}

deny contains {
	"code": "too_many_organizations",
	"detail": "The request touches too many organizations. Split it, or narrow the audience first.",
} if {
	input.operation in {"request.propose", "request.edit"}
	count(organizations_wanted) > data.config.limits.organizations_per_request
}

deny contains {
	"code": "tier_rule_missing",
	"detail": concat(" ", ["The policy has no rule for single users in tier", excepted[0], "in", excepted[1]]),
} if {
	asked.at == "request"
	some excepted in _excepted
	not _has_exceptions(excepted)
}

_is_shown_safe(change) if change.facts.safe == true

_is_shown_safe(change) if {
	count(change.facts.swaps) > 0
	order := data.config.exposure_order[change.flag.key]
	every swap in change.facts.swaps {
		_place(order, swap.to) <= _place(order, swap.from)
	}
}

_place(order, variant) := min([place | some place, name in order; name == variant])

# A safe change may name an organization too, so it is the `raise` rule that says whether account-approvers are asked.
_consults(change) if {
	some tier in governing(change)
	data.config.tiers[tier][_kind(change.facts.scope)].raise.account_approvers
}

_approvals_asked contains rule.approvals if some rule in rules

_approvals_asked contains asked if {
	some excepted in _excepted
	asked := _sum(data.config.tiers[excepted[0]][excepted[1]].raise.approvals, _exceptions(excepted).approvals)
}

_approvals_asked contains asked if some asked in own.approvals

# What a new flag asks for, besides its tier's rule for definitions.
_approvals_asked contains asked if some asked in new_flag_approvals

# Tier and environment kind of each change that may expose more and leaves single users in the audience.
_excepted contains [tier, _kind(change.facts.scope)] if {
	input.request.kind == "flag.change"
	some change in input.request.changes
	change.facts.exception_used
	movement(change) == "raise"
	some tier in governing(change)
}

_exceptions([tier, kind]) := rule if rule := data.config.exceptions[tier][kind]

else := data.config.exceptions["*"][kind]

_sum(one, other) := {role: total |
	some role in (object.keys(one) | object.keys(other))
	total := object.get(one, role, 0) + object.get(other, role, 0)
}

# METADATA
# description: The approvals by role that new flags require
# scope: document
new_flag_approvals contains _new_flag(tier).approvals if some tier in _new_tiers

_new_tiers contains tier if {
	input.request.kind == "flag.change"
	some change in input.request.changes
	change.action == "create"
	some tier in governing(change)
}

_new_flag(tier) := data.config.new_flags[tier]

_has_new_flag(tier) if is_object(_new_flag(tier).approvals)

_has_exceptions(excepted) if is_object(_exceptions(excepted).approvals)

_has_rule(selector) if _is_complete(data.config.tiers[selector[0]][selector[1]][selector[2]])

_has_kind_rule if _is_complete(data.config.request_kinds[input.request.kind].rule)

# A rule with a missing member would require less than its author intended.
_is_complete(rule) if {
	is_object(rule.approvals)
	is_boolean(rule.ticket)
	is_array(rule.windows)
	is_boolean(rule.account_approvers)
	_is_sign_in(rule.sign_in)
}

_is_sign_in(null)

_is_sign_in(sign_in) if {
	is_number(sign_in.level)
	is_number(sign_in.max_age_s)
}

_tiers_down_from(null) := set()

_tiers_down_from(highest) := {highest} | {tier | some tier, rank in floors.ranks; rank < floors.ranks[highest]} if {
	highest != null
}

# A definition applies to production, so production's rules govern it.
_kind("definition") := "production"

_kind("state") := data.config.environments[input.environment.key].kind

# METADATA
# description: The roles whose approval counts as one from the role
# scope: document
accepted(role) := [role] if input.request.kind == "flag.change"

accepted(role) := array.concat([role], data.config.request_kinds[input.request.kind].stand_ins)

# METADATA
# description: The bindings grant a role from which this request requires an approval
# scope: document
is_wanted(list, places) if {
	some role, _ in approvals_wanted
	roles.holds_at_all(list, accepted(role), places)
}

is_wanted(list, places) if {
	some organization in organizations_wanted
	roles.speaks_for(list, organization, places)
}

# METADATA
# description: >-
#   The bindings grant a role from which some rule of the request's tiers requires an approval, or some rule of any
#   tier if these require none
# scope: document
could_approve(list, places) if {
	some role in _approver_roles
	roles.holds_at_all(list, [role], places)
}

_approver_roles := _roles_of(_touched_tiers) if count(_roles_of(_touched_tiers)) > 0

else := _roles_of(object.keys(data.config.tiers))

_touched_tiers contains selector[0] if some selector in selectors

_roles_of(tiers) := {role |
	some tier in tiers
	some movements in data.config.tiers[tier]
	some rule in movements
	some role, _ in rule.approvals
}
