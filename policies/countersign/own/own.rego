# METADATA
# title: Own rules
# description: >-
#   The place for rules of your own. Files in this folder, of this package, add to the sets below; every other file can
#   then be replaced by that of a newer version. The shipped policy adds nothing. Rules here only ask for more: no set
#   can allow what the rest of the policy does not.
# schemas:
#   - input: schema.input
package countersign.own

# The rules here never hold; they show the form of each member.

# METADATA
# description: Reasons to deny
# scope: document
deny contains {"code": "example", "detail": "For people."} if false # regal ignore:constant-condition

# METADATA
# description: Numbers of approvals by role that a write requires besides those of its tier; the highest counts
# scope: document
approvals contains {"flag-approver": 1} if false # regal ignore:constant-condition

# METADATA
# description: Choices of windows, by their names in config/windows; one of each choice has to be open
# scope: document
windows contains ["business-hours"] if false # regal ignore:constant-condition

# METADATA
# description: Moments to wait for, in epoch milliseconds
# scope: document
waits contains 0 if false # regal ignore:constant-condition

# METADATA
# description: Why these rules hold a write that waits
# scope: document
held contains {"code": "example", "detail": "For people."} if false # regal ignore:constant-condition
