# METADATA
# title: Asked
# description: What the operation of the input is, by the policy's data. Looked up once for all rules.
# schemas:
#   - input: schema.input
package countersign.asked

# METADATA
# description: The row of the operation in the policy's data. Undefined for an operation that the policy does not have.
# scope: document
row := data.config.operations[input.operation]

# METADATA
# description: Where the operation needs a role. Undefined for an operation that the policy does not have.
# scope: document
at := row.at

# METADATA
# description: Whether the operation may write what the request asks for
# scope: document
is_write if input.operation in {"request.propose", "request.schedule", "request.apply"}
