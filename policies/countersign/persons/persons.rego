# METADATA
# title: Persons
# description: Compares humans, not accounts. Two names of one human are equal here.
# schemas:
#   - input: schema.input
package countersign.persons

# METADATA
# description: The one name of the human that a name stands for
canonical(name) := object.get(data.config.persons, name, name)

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
