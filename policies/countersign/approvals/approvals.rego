# METADATA
# title: Approvals
# description: >-
#   Which approvals count, and what is still missing. An approval counts if it names this digest, and its person is not
#   an author, has signed in as the tier requires, and holds the role today, by the groups last known, in every place
#   that the request touches.
#   Each human counts once, however many accounts or roles they have.
# schemas:
#   - input: schema.input
package countersign.approvals

import data.countersign.persons
import data.countersign.places
import data.countersign.roles
import data.countersign.tiers

# METADATA
# description: The number of missing approvals for each role, sorted by role
missing := [{"kind": "approval", "role": role, "count": left} |
	some role in sort(object.keys(tiers.approvals_wanted))
	left := _short[role] - _spare(role)
	left > 0
]

# METADATA
# description: Organizations whose account-approver has not approved yet, sorted
missing_organizations := [organization |
	some organization in sort(tiers.organizations_wanted)
	not _is_spoken_for(organization)
]

# METADATA
# description: The approvals that count, as the human and their current bindings
counting contains {"human": human, "bindings": bindings} if {
	some vote in _valid
	roles.is_as_last_known(vote.principal)
	human := persons.human(vote.principal)
	bindings := roles.bindings(vote.principal)
}

# METADATA
# description: Whether the giver of an approval has lost every role by which it could count
lost_role if {
	input.operation == "request.apply"
	some vote in _valid
	roles.is_as_last_known(vote.principal)
	not tiers.is_wanted(roles.bindings(vote.principal), places.required)
}

# Whatever roles its giver has.
_valid contains vote if {
	some vote in input.approvals
	vote.digest == input.request.digest
	vote.principal.kind == "person"
	not persons.is_author(vote.principal)
	_is_signed_in(vote)
	not persons.human(vote.principal) in _rejecting
}

_is_signed_in(_) if not tiers.sign_in_wanted

_is_signed_in(vote) if tiers.is_signed_in(vote.principal.auth, vote.at_ms, tiers.sign_in_wanted)

_rejecting contains persons.human(vote.principal) if some vote in input.rejections

_is_spoken_for(organization) if {
	some vote in counting
	roles.speaks_for(vote.bindings, organization, places.required)
}

# The required roles that each human holds. Two accounts of one human are merged into one entry.
_held[vote.human] contains role if {
	some vote in counting
	some role, _ in tiers.approvals_wanted
	roles.holds_at_all(vote.bindings, tiers.accepted(role), places.required)
}

# Humans who hold every required role count for whichever role lacks approvals. All others count for one role only, the
# first by name: with more than two roles this may require one approval too many, never one too few.
_free contains human if {
	some human, held in _held
	count(held) == count(tiers.approvals_wanted)
}

_bound[min(held)] contains human if {
	some human, held in _held
	not human in _free
}

_short[role] := max([0, wanted - count(object.get(_bound, role, set()))]) if some role, wanted in tiers.approvals_wanted

# The flexible approvals that remain for a role, after the roles before it have used theirs.
_spare(role) := max([0, count(_free) - sum([short | some before, short in _short; before < role])])
