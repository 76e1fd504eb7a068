# METADATA
# title: Persons
# description: >-
#   Compares humans, not accounts. Two names of one human are equal here, and names that differ in case alone are one:
#   to take two humans for one costs an approval at most, to take one for two breaks the two-person rule.
# schemas:
#   - input: schema.input
package countersign.persons

# METADATA
# description: >-
#   The one name of the human that a name stands for, in lower case, as `persons` has to be written; the broker refuses
#   a bundle where it is not
canonical(name) := object.get(data.config.persons, lower(name), lower(name))

# METADATA
# description: >-
#   Whether it is known which human, if any, is behind a principal. Platforms name people in their own way, so that a
#   workload's person is known by an alias only. A workload that names nobody is a service; an agent acts for somebody,
#   who is named as persons are.
# scope: document
is_known(principal) if principal.kind == "person"

is_known(principal) if {
	principal.kind == "agent"
	principal.person != null
}

is_known(principal) if {
	principal.kind == "workload"
	principal.person == null
}

is_known(principal) if data.config.persons[lower(principal.person)]

# METADATA
# description: The human behind a principal. Undefined for a workload or agent that nobody stands behind.
# scope: document
human(principal) := canonical(principal.person) if principal.person != null

human(principal) := canonical(principal.id) if {
	principal.kind == "person"
	principal.person == null
}

# METADATA
# description: >-
#   Everyone who wrote part of the request's present content, with the human who triggered the job that proposed it,
#   and the proposer's own id
# scope: document
authors contains canonical(name) if some name in input.request.authors

authors contains human(input.request.proposer)

authors contains input.request.proposer.id

# METADATA
# description: Whether a principal, under any of its names, wrote part of the request
# scope: document
is_author(principal) if principal.id in authors

is_author(principal) if canonical(principal.id) in authors

is_author(principal) if human(principal) in authors
