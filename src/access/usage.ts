import type { Clock } from '../clock.ts';
import type { Use } from '../decide/control.ts';
import { type Capability, OPERATIONS } from '../operations.ts';
import type { Principal } from '../principal.ts';
import { hasBegun } from '../store/batch.ts';
import {
  ANY_PLACE,
  findPrincipal,
  updatePrincipal,
  upsertGrantUse,
  upsertPrincipal,
} from '../store/principals.ts';
import type { Tx } from '../store/statement.ts';
import type { Writer } from '../store/writer.ts';

/** The age in milliseconds after which a stored time of a principal or use is updated. */
const PRECISION_MS = 60_000;
/** Bounds the memory between two writes, whatever number of principals calls. */
const MAX_WAITING = 10_000;

/**
 * Collects who was seen and what they used, for access reviews. It is written later, in batches, with a resolution of a
 * minute, so that a read does not cost a write. It is not evidence; the decision log is.
 */
export interface Usage {
  seen(principal: Principal): void;
  /**
   * Notes that a stranger was denied: strangers must not fill the store, so only one who is already in it, and has lost
   * every role, is written.
   */
  stranger(principal: Principal): void;
  used(use: Use): void;
  /** Writes the collected data; what was collected before the call is written when it ends. */
  flush(): Promise<void>;
}

interface CapabilityUse {
  principal_id: string;
  capability: Capability;
  environment: string;
  namespace: string;
}

/** Collects usage in memory until it is flushed. */
export function createUsage({ writer, clock }: { writer: Pick<Writer, 'write'>; clock: Clock }): Usage {
  const written = new Map<string, { text: string; at_ms: number }>();
  let principals = new Map<string, { principal: Principal; at_ms: number; isStranger: boolean }>();
  /** One at a time: a caller waits for what another one has begun to write. */
  let flushing = Promise.resolve();
  let uses = new Map<string, CapabilityUse & { last_ms: number }>();

  /** Whether the store already has this, to the minute. */
  function isWritten(key: string, text: string, nowMs: number): boolean {
    const before = written.get(key);
    return before !== undefined && before.text === text && Math.abs(nowMs - before.at_ms) < PRECISION_MS;
  }

  function noteWritten(key: string, text: string, atMs: number): void {
    if (written.size >= MAX_WAITING) written.clear();
    written.set(key, { text, at_ms: atMs });
  }

  function seen(principal: Principal): void {
    if (principals.size >= MAX_WAITING) return;
    const nowMs = clock();
    const waiting = principals.get(principal.id)?.principal;
    const newest = waiting !== undefined && isNewer(waiting, principal, nowMs) ? waiting : principal;
    principals.set(principal.id, { principal: newest, at_ms: nowMs, isStranger: false });
  }

  async function writeWaiting(): Promise<void> {
    const nowMs = clock();
    const newPrincipals = [...principals.values()]
      .map((seen) => ({ ...seen, text: writtenText(seen.principal) }))
      .filter(({ principal, text }) => !isWritten(principal.id, text, nowMs));
    const newUses = [...uses].filter(([key]) => !isWritten(key, '', nowMs));
    principals = new Map();
    uses = new Map();
    if (newPrincipals.length === 0 && newUses.length === 0) return;
    await writer.write(async (tx) => {
      for (const { principal, at_ms, isStranger } of newPrincipals) {
        const newest = await newestOf(tx, principal, nowMs);
        await (isStranger ? updatePrincipal : upsertPrincipal)(tx, {
          id: principal.id,
          kind: principal.kind,
          person: newest.person,
          issuer: newest.issuer,
          principal: JSON.stringify(newest),
          first_seen_ms: at_ms,
          last_seen_ms: at_ms,
        });
      }
      for (const [, use] of newUses) await upsertGrantUse(tx, use);
    });
    for (const { principal, text, at_ms } of newPrincipals) noteWritten(principal.id, text, at_ms);
    for (const [key, use] of newUses) noteWritten(key, '', use.last_ms);
  }

  return {
    seen,
    stranger: ({ id }) => {
      const found = principals.get(id);
      if (found !== undefined) found.isStranger = true;
    },
    used: ({ principal, operation, environment, namespaces }) => {
      const { capability } = OPERATIONS[operation];
      if (capability === null) return;
      seen(principal);
      for (const namespace of namespaces.length === 0 ? [null] : namespaces) {
        const use = {
          principal_id: principal.id,
          capability,
          environment: environment ?? ANY_PLACE,
          namespace: namespace ?? ANY_PLACE,
        };
        if (uses.size < MAX_WAITING) uses.set(JSON.stringify(use), { ...use, last_ms: clock() });
      }
    },
    flush: () => {
      flushing = flushing.then(writeWaiting, writeWaiting);
      return flushing;
    },
  };
}

/** What the newest credential says of a principal: one that was issued before, and is still valid, says what was. */
async function newestOf(tx: Tx, principal: Principal, nowMs: number): Promise<Principal> {
  const row = await findPrincipal(tx, principal.id);
  if (row === undefined) return principal;
  const stored = JSON.parse(row.principal) as Principal;
  return isNewer(stored, principal, nowMs) ? stored : principal;
}

/** Whether the first was issued after the other. What was issued in the future was issued by a wrong clock. */
function isNewer(one: Principal, other: Principal, nowMs: number): boolean {
  const { issued_ms: issuedMs } = one.token;
  const { issued_ms: otherMs } = other.token;
  return issuedMs !== undefined && otherMs !== undefined && otherMs < issuedMs && hasBegun(issuedMs, nowMs);
}

/**
 * What is written of a principal: who it is, and when its credential was issued. By that time a later use of an older credential is
 * known to be no news, so the time of each newer one has to be written, too.
 */
function writtenText({ id, person, groups, claims, token }: Principal): string {
  return JSON.stringify({ id, person, groups, claims, issued_ms: token.issued_ms });
}
