# METADATA
# title: Promotion
# description: >-
#   How long, and for how many decisions, a module has to stand the test of a stage before the next one decides by it.
#   It only denies, and only if `promotion` of the kind of request says so.
# schemas:
#   - input: schema.input
package countersign.promotion

# METADATA
# description: Denies of modules that were not tried enough; the facts are as of the proposal
# scope: document
deny contains {"code": "promotion_too_early", "detail": detail} if {
	input.operation in {"request.propose", "request.apply"}
	promotes := input.request.object.promotes
	wanted := data.config.request_kinds[input.request.kind].promotion
	_is_too_early(promotes, wanted)
	detail := concat("", [
		"The stage before has to decide by the module for ",
		format_int(wanted.min_age_s, 10),
		" seconds and ",
		format_int(wanted.min_decisions, 10),
		" decisions first. It has for ",
		format_int(promotes.age_s, 10),
		" seconds and ",
		format_int(promotes.decisions, 10),
		" decisions.",
	])
}

_is_too_early(promotes, wanted) if promotes.age_s < wanted.min_age_s

_is_too_early(promotes, wanted) if promotes.decisions < wanted.min_decisions
