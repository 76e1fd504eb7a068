import type { WriteContext } from '../decide/control.ts';
import type { Principal } from '../principal.ts';

/**
 * Changes that somebody who could approve asks for. As long as a demand stands, the request is not applied, whatever the
 * policy says: nobody approves over the head of a reviewer. A demand is about the content that its person read, as a vote is.
 */
export interface Demand {
  person: string;
  principal: Principal;
  digest: string;
  /** The comment that says what should change. */
  comment: string;
  at_ms: number;
}

/** What a demand is about. */
interface Demanded {
  digest: string;
  demands: readonly Demand[];
}

/** The demands that are about the present content. */
export function standingDemands({ demands, digest }: Demanded): Demand[] {
  return demands.filter((demand) => demand.digest === digest);
}

/** The demands of others. The newest word of a person counts. */
export function withoutDemandOf(demands: readonly Demand[], person: string): Demand[] {
  return demands.filter((demand) => demand.person !== person);
}

/** The demands that stand, but for those of persons who are disabled or revoked: like their votes, they are void. */
export async function validDemands(
  { revocations, tx }: Pick<WriteContext, 'revocations' | 'tx'>,
  request: Demanded,
): Promise<Demand[]> {
  const valid: Demand[] = [];
  for (const demand of standingDemands(request)) {
    if (!(await revocations.isBlocked(tx, demand.principal))) valid.push(demand);
  }
  return valid;
}

/** How demands are stored. */
export function demandsColumn(demands: readonly Demand[]): string | null {
  return demands.length === 0 ? null : JSON.stringify(demands);
}

/** Reads stored demands. */
export function readDemands(column: string | null): Demand[] {
  return column === null ? [] : (JSON.parse(column) as Demand[]);
}
