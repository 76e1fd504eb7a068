# METADATA
# title: Persons
# description: >-
#   Compares humans, not accounts: all names of one human are equal. The broker gives names in their one canonical form,
#   and each alias with the human at the end of its chain, so that this only looks up and compares.
# schemas:
#   - input: schema.input
package countersign.persons

# METADATA
# description: The name that the human behind a name signs in with
canonical(name) := object.get(data.config.persons, name, name)

# METADATA
# description: >-
#   Whether it is known which humans, if any, are behind a principal. Platforms use their own names for people, so the
#   humans who started a job are known only by an alias. A workload without a person is a service. An agent acts for a
#   person, under that person's name.
# scope: document
is_known(principal) if {
	_is_person_known(principal)
	every name in object.get(principal, "started_by", []) {
		data.config.persons[name]
	}
}

_is_person_known(principal) if principal.kind == "person"

_is_person_known(principal) if {
	principal.kind == "agent"
	principal.person != null
}

_is_person_known(principal) if {
	principal.kind == "workload"
	principal.person == null
}

_is_person_known(principal) if data.config.persons[principal.person]

# METADATA
# description: The human behind a principal. Undefined for a workload or agent without one.
# scope: document
human(principal) := canonical(principal.person) if principal.person != null

human(principal) := principal.id if {
	principal.kind == "person"
	principal.person == null
}

# METADATA
# description: >-
#   All authors of the request's current content, including the humans who started the job that proposed it, and the
#   proposer's own id
# scope: document
authors contains canonical(name) if some name in input.request.authors

authors contains human(input.request.proposer)

authors contains canonical(name) if some name in input.request.proposer.started_by

authors contains input.request.proposer.id

# METADATA
# description: Whether a principal, under any of its names, is an author of the request
# scope: document
is_author(principal) if principal.id in authors

is_author(principal) if human(principal) in authors
