package countersign.exclusive_test

import data.countersign.exclusive
import data.fixtures

_pair := [["flag-deployer", "flag-approver"]]

_by(groups) := object.union(
	fixtures.base.input,
	{"principal": {"groups": groups}, "request": {"changes": [fixtures.base.change]}},
)

_both := _by(["payments-developers", "payments-approvers"])

_codes := [reason.code | some reason in exclusive.deny]

# METADATA
# description: Who holds both roles in a namespace neither proposes nor approves there, nor edits or schedules
test_both_roles if {
	every operation in ["request.propose", "request.approve", "request.edit", "request.schedule"] {
		_codes == ["exclusive_roles"] with input as object.union(_both, {"operation": operation})
			with data.config.exclusive_roles as _pair
	}
}

# METADATA
# description: Whoever holds one of them may use it, and rejecting stays open
test_one_role if {
	every groups in [["payments-developers"], ["payments-approvers"], []] {
		_codes == [] with input as _by(groups) with data.config.exclusive_roles as _pair
	}
	_codes == [] with input as object.union(_both, {"operation": "request.reject"})
		with data.config.exclusive_roles as _pair
}

# METADATA
# description: Roles that are held in different namespaces or environments do not exclude each other
test_elsewhere if {
	bindings := {
		"payments-developers": [{"roles": ["flag-deployer"], "namespaces": ["payments"], "environments": ["*"]}],
		"payments-approvers": [
			{"roles": ["flag-approver"], "namespaces": ["search"], "environments": ["*"]},
			{"roles": ["flag-approver"], "namespaces": ["*"], "environments": ["staging"]},
		],
	}
	_codes == [] with input as _both
		with data.config.exclusive_roles as _pair
		with data.config.role_bindings as {"groups": {_both.principal.issuer: bindings}}
	in_staging := object.union(_both, {"environment": {"key": "staging", "kind": "staging"}})
	_codes == ["exclusive_roles"] with input as in_staging
		with data.config.exclusive_roles as _pair
		with data.config.role_bindings as {"groups": {_both.principal.issuer: bindings}}
}

# METADATA
# description: For a policy, a role that is held in any namespace counts; roles that it does not use do not
test_policy if {
	by := _by(["payments-developers", "payments-approvers", "platform"])
	proposal := object.union(by, {"request": {"kind": "policy.activate", "changes": []}})
	_codes == ["exclusive_roles"] with input as proposal
		with data.config.exclusive_roles as [["policy-maintainer", "flag-deployer"]]
	_codes == [] with input as proposal with data.config.exclusive_roles as _pair
}

# METADATA
# description: No roles exclude each other unless the data says so
test_none if {
	_codes == [] with input as _both with data.config.exclusive_roles as []
}
