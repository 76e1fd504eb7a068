# METADATA
# title: Cosigned
# description: >-
#   A fresh quorum of witnesses, which a change that makes something less safe may have to wait for. Never what makes
#   things safer, and nothing but changes of flags: witnesses may be down.
# schemas:
#   - input: schema.input
package countersign.cosigned

import data.countersign.tiers

# METADATA
# description: The greatest age of the cosignatures in seconds, for each kind of environment that asks for them
# scope: document
wanted contains row.max_age_s if {
	some selector in tiers.selectors
	selector[2] == "raise"
	row := data.config.cosigned[selector[1]]
}

# METADATA
# description: The greatest age in seconds that the request has to wait for. Undefined if it may be written now.
outstanding := max_age_s if {
	max_age_s := min(wanted)
	not _is_fresh(max_age_s)
}

_is_fresh(max_age_s) if input.clock.now_ms - input.log.cosigned.at_ms <= max_age_s * 1000
