# METADATA
# title: Retention
# description: >-
#   How long the records of a person have to be kept before they may be erased. A request to erase somebody waits until
#   the last record that names them is old enough.
# schemas:
#   - input: schema.input
package countersign.retention

import data.countersign.asked

# METADATA
# description: The moment until which the records have to be kept, in epoch milliseconds
# scope: document
waits contains kept_until if {
	asked.is_write
	kept_until := input.request.object.newest_ms + (_wanted.min_age_s * 1000)
}

# METADATA
# description: Denies of erasures without a minimum retention
# scope: document
deny contains {
	"code": "retention_missing",
	"detail": "The policy does not say how long records have to be kept (see `retention` in config/request_kinds).",
} if {
	input.request.object.type == "person"
	not _has_minimum
}

_wanted := data.config.request_kinds[input.request.kind].retention

_has_minimum if is_number(_wanted.min_age_s)
