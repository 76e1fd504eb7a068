# METADATA
# title: Floors
# description: >-
#   The lowest tier of a flag, from data by namespace, kind of flag and kind of environment. The tier is the author's
#   own word, so the data limits it.
# schemas:
#   - input: schema.input
package countersign.floors

# METADATA
# description: The rank of each tier, from least to most dangerous
ranks := {"informational": 0, "operational": 1, "sensitive": 2, "high-risk": 3}

# METADATA
# description: The tiers that govern a change because they are floors above the tier of its flag
governing(change, environment_kind) := {tier |
	some tier in _applicable(change.flag.namespace, _kinds(change), environment_kind)
	ranks[tier] > ranks[change.flag.tier]
}

# METADATA
# description: Denies of flags below their floor, and of data that cannot be understood
# scope: document
deny contains {
	"code": "tier_below_floor",
	"detail": concat(" ", [
		"A flag of kind", change.after.kind, "in namespace", change.flag.namespace,
		"requires at least tier", concat("", [lowest, "."]), "Set it in the definition.",
	]),
} if {
	input.operation in _judged
	input.request.kind == "flag.change"
	some change in input.request.changes
	change.facts.scope == "definition"
	_is_classified_anew(change)
	some lowest in _applicable(change.flag.namespace, {change.after.kind}, "production")
	ranks[change.after.tier] < ranks[lowest]
}

deny contains {
	"code": "tier_rule_missing",
	"detail": "The policy has no floors of tiers, or one of an unknown tier (see config/tier_floors).",
} if {
	input.operation in _judged
	input.request.kind == "flag.change"
	not _is_understood
}

_judged := {"request.propose", "request.edit", "request.schedule", "request.apply"}

# The tier or the kind is new. Other changes of an older flag below its floor stay possible, such as retiring it.
_is_classified_anew(change) if change.action == "create"

_is_classified_anew(change) if change.before.tier != change.after.tier

_is_classified_anew(change) if change.before.kind != change.after.kind

# The kinds that the flag has before, after and at the change: another kind must not avoid the floor of the former one.
_kinds(change) := {change.flag.kind} | {definition.kind |
	change.facts.scope == "definition"
	some definition in [change.before, change.after]
}

_applicable(flag_namespace, kinds, environment_kind) := {data.config.tier_floors[namespace][kind][environment] |
	some namespace in {"*", flag_namespace}
	some kind in (kinds | {"*"})
	some environment in {"*", environment_kind}
}

_is_understood if {
	is_object(data.config.tier_floors)
	every kinds in data.config.tier_floors {
		every environments in kinds {
			every tier in environments {
				is_number(ranks[tier])
			}
		}
	}
}
