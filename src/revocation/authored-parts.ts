import type { AuthoredPart } from '../decide/revocations.ts';
import type { Revocation } from '../identity/revocations.ts';
import type { DecisionRecord } from '../log/details.ts';
import { listAuthored } from '../store/records.ts';
import type { Db } from '../store/statement.ts';

/** The parts of a request, from the log: the request itself names only the humans behind them. */
export async function loadParts(db: Db, requestId: string): Promise<AuthoredPart[]> {
  const rows = await listAuthored(db, requestId);
  return rows.map(({ details, issued_ms }) => {
    const { at_ms, principal, correlation } = JSON.parse(details) as DecisionRecord;
    const { kind, ...rest } = principal;
    const { token, origins = [], session } = correlation;
    return {
      ...rest,
      kind: kind as AuthoredPart['kind'],
      at_ms,
      issued_ms: issued_ms ?? at_ms,
      credentials: [token, ...origins, session].filter((id) => typeof id === 'string'),
    };
  });
}

/**
 * Whether a part was written with a credential that was revoked in an incident, and its author has not confirmed it with
 * another one: whoever had the credential may have written it. Every later part by the author confirms, also one that
 * only rebases the request. A person confirms what their jobs and agents wrote, and not the other way round.
 *
 * @param revocations only those of incidents count
 * @param isHuman whether two names are of one human
 */
export function isUnconfirmed(
  parts: readonly AuthoredPart[],
  revocations: readonly Revocation[],
  { isNamed, isHuman }: PartChecks,
): boolean {
  const isRevoked = (part: AuthoredPart) =>
    revocations.some((revocation) => revocation.cause === 'incident' && hits(revocation, part, isNamed));
  const confirms = (later: AuthoredPart, part: AuthoredPart) =>
    (later.id === part.id || (later.kind === 'person' && isHuman(later.person, part.person))) &&
    !isRevoked(later);
  return parts.some(
    (part, place) => isRevoked(part) && !parts.slice(place + 1).some((later) => confirms(later, part)),
  );
}

interface PartChecks {
  /** Whether a revocation of another kind than a credential or a class names the principal. */
  isNamed(revocation: Revocation, part: AuthoredPart): boolean;
  isHuman(one: string | null, other: string | null): boolean;
}

function hits(revocation: Revocation, part: AuthoredPart, isNamed: PartChecks['isNamed']): boolean {
  const { kind, value, issued_before_ms } = revocation;
  if (issued_before_ms !== null && part.issued_ms >= issued_before_ms) return false;
  switch (kind) {
    case 'token':
      return part.credentials.some((id) => value.endsWith(`#${id}`));
    case 'session':
      return part.credentials.includes(value);
    case 'class':
      // An agent has the token of a person and that of a workload.
      return value === 'all' || value === part.kind || part.kind === 'agent';
    case 'key':
      // Whoever had the key could sign for any job, so it does not matter which key a record was written with.
      return part.kind !== 'person' && part.at_ms < revocation.created_ms;
    default:
      return isNamed(revocation, part);
  }
}
