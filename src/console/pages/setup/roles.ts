/** The roles of the shipped policy, and what each is for. */
export const ROLES = [
  { role: 'flag-deployer', does: 'proposes changes of flags' },
  { role: 'flag-approver', does: 'approves them' },
  { role: 'security-approver', does: 'approves what is dangerous, and changes of the policy' },
  { role: 'policy-maintainer', does: 'proposes the policy' },
  { role: 'flag-emergency-override', does: 'freezes, revokes, and opens break-glass sessions' },
  { role: 'flag-auditor', does: 'reads the decision log' },
] as const;

/** A text as one word of a shell: between single quotes, it takes everything but these as it is. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command that proposes a binding. */
export function bindingOf(
  issuer: string,
  group: string,
  roles: readonly string[] = ['flag-deployer', 'flag-reader'],
): string {
  const place = [issuer, group].map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'));
  const row = [{ roles, namespaces: ['*'], environments: ['*'] }];
  return `countersign policy set ${quoted(`/config/role_bindings/groups/${place.join('/')}`)} ${quoted(JSON.stringify(row))} --reason "the first bindings"`;
}
