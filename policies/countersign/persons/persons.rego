# METADATA
# title: Persons
# description: >-
#   Compares humans, not accounts. All names of one human are equal, and names are case-insensitive: mistaking two
#   humans for one costs at most an approval, but mistaking one for two breaks the two-person rule.
# schemas:
#   - input: schema.input
package countersign.persons

# METADATA
# description: >-
#   The canonical name of the human behind a name, in lower case. `persons` must be in lower case; the broker refuses
#   other bundles
canonical(name) := object.get(data.config.persons, lower(name), lower(name))

# METADATA
# description: >-
#   Whether it is known which human, if any, is behind a principal. Platforms use their own names for people, so a
#   workload's person is known only by an alias. A workload without a person is a service. An agent acts for a person,
#   under that person's name.
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
# description: The human behind a principal. Undefined for a workload or agent without one.
# scope: document
human(principal) := canonical(principal.person) if principal.person != null

human(principal) := canonical(principal.id) if {
	principal.kind == "person"
	principal.person == null
}

# METADATA
# description: >-
#   All authors of the request's current content, including the human who triggered the job that proposed it, and the
#   proposer's own id
# scope: document
authors contains canonical(name) if some name in input.request.authors

authors contains human(input.request.proposer)

authors contains input.request.proposer.id

# METADATA
# description: Whether a principal, under any of its names, is an author of the request
# scope: document
is_author(principal) if principal.id in authors

is_author(principal) if canonical(principal.id) in authors

is_author(principal) if human(principal) in authors
