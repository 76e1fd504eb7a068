package countersign

import data.countersign.grants

# METADATA
# title: Access
# description: Who can do what, for the principals of the input, and what each binding grants
# entrypoint: true
# schemas:
#   - input: schema.access
access := {
	"grants": grants.held,
	"bindings": grants.bindings,
}
