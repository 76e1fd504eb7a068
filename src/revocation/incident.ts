import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps, WriteContext } from '../decide/control.ts';
import { authorizeRead } from '../decide/read.ts';
import { notDone } from '../decide/refusals.ts';
import { Refused } from '../decide/refused.ts';
import type { RevocationChecks } from '../decide/revocations.ts';
import { BrokerError } from '../errors.ts';
import type { InputRevocation } from '../policy/input.ts';
import { personNames, resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { listPrincipals } from '../store/principals.ts';
import { listActiveRevocations } from '../store/revocations.ts';
import type { RevocationsTable, SigningKeysTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { nearestOf } from '../unknown-name.ts';
import { draftRevocation, type RevocationOrder } from './add.ts';
import { type Hits, hitsSchema, loadHits } from './hits.ts';
import { type OrderChecks, toOrder } from './order.ts';
import { revoke } from './revoke.ts';
import { revocationShape, revocationViewSchema, toRevocationView } from './view.ts';

/** A warning to the author of a revocation. */
const cautionSchema = z
  .object({ code: z.enum(['hits_you', 'unknown_subject', 'revoked_already']), detail: z.string() })
  .meta({ id: 'RevocationCaution' });
export type Caution = z.infer<typeof cautionSchema>;

/** The issuers of this installation. */
export type Issuers = Pick<OrderChecks, 'issuer' | 'personIssuers'>;

/** The effects of a revocation, or of its dry run. */
const impactSchema = z.object({ hits: hitsSchema, cautions: z.array(cautionSchema) });
export type Impact = z.infer<typeof impactSchema>;

/** A revocation and its effects. */
export const revokedSchema = revocationViewSchema
  .extend(impactSchema.shape)
  .meta({ id: 'RevocationWithEffects' });

/** What a revocation would do. */
export const previewSchema = impactSchema
  .extend({ dry_run: z.literal(true), ...revocationShape })
  .meta({ id: 'RevocationPreview' });

/**
 * Revokes on behalf of a person. One authorized person is enough, and the revocation takes effect at once. Lifting it
 * requires a change request.
 *
 * @param options.fresh a prepared key, if a key is revoked
 * @returns the revocation with what it hit, or the refusal with its record appended
 * @throws BrokerError `not_found`, `invalid_request` as {@link toOrder}
 */
export async function revokeAsPerson(
  writing: WriteContext,
  asked: InputRevocation,
  options: Issuers & { fresh: SigningKeysTable | null },
): Promise<z.infer<typeof revokedSchema> | Refused> {
  const { tx, call, policy, revocations } = writing;
  const order = await orderOrFault(tx, asked, checksOf(writing, options));
  const isFault = order instanceof BrokerError;
  const { kind, value, issued_before_ms, incident, reason } = isFault ? asked : order;
  const authorized = await authorize(writing, {
    operation: 'revocation.add',
    revocation: { kind, value, issued_before_ms, incident, reason },
    note: isFault ? notDone(order) : { code: 'revocation', detail: `${kind} ${value}` },
  });
  if (authorized instanceof Refused) return authorized;
  if (isFault) return Refused.because(order, authorized.decision_id);
  const active = await listActiveRevocations(tx);
  const { row, consequences } = await revoke(writing, order, options);
  const hits = await loadHits(tx, row, {
    deps: { revocations, now_ms: writing.now_ms, issuer: options.issuer },
    consequences,
  });
  const cautions = await cautionsOf(tx, row, { revocations, call, hits, active, policy });
  return { ...toRevocationView(row), hits, cautions };
}

/**
 * Computes what a revocation would do. The shipped policy requires the same roles as for the revocation itself.
 *
 * @throws BrokerError as {@link revokeAsPerson}
 */
export async function previewRevocation(
  deps: ControlDeps,
  call: Call,
  asked: InputRevocation,
  issuers: Issuers,
): Promise<z.infer<typeof previewSchema>> {
  const { read } = deps.store;
  const now_ms = deps.clock();
  const policy = await deps.policies.active(read);
  const order = await orderOrFault(read, asked, checksOf({ policy, call, now_ms }, issuers));
  const isFault = order instanceof BrokerError;
  const { kind, value, issued_before_ms, incident, reason } = isFault ? asked : order;
  const revocation = { kind, value, issued_before_ms, incident, reason };
  await authorizeRead(deps, call, { operation: 'revocation.preview', revocation });
  if (isFault) throw order;
  const row = await draftRevocation(read, { deps, call, now_ms, policy }, order);
  const revocations = deps.revocations.under(personNames(policy));
  const hits = await loadHits(read, row, { deps: { revocations, now_ms, issuer: issuers.issuer } });
  const active = await listActiveRevocations(read);
  const cautions = await cautionsOf(read, row, { revocations, call, hits, active, policy });
  return { dry_run: true, ...revocation, hits, cautions };
}

/** A fault is thrown only after the decision, so that an unauthorized caller learns nothing from it. */
async function orderOrFault(
  db: Db,
  asked: InputRevocation,
  checks: OrderChecks,
): Promise<RevocationOrder | BrokerError> {
  return toOrder(db, asked, checks).catch((error: unknown) => {
    if (error instanceof BrokerError) return error;
    throw error;
  });
}

function checksOf(
  { policy, call, now_ms }: Pick<WriteContext, 'policy' | 'call' | 'now_ms'>,
  { issuer, personIssuers }: Issuers,
): OrderChecks {
  return { policy, caller: call.principal, now_ms, issuer, personIssuers };
}

async function cautionsOf(
  db: Db,
  row: RevocationsTable,
  about: {
    revocations: Pick<RevocationChecks<Db>, 'isHit'>;
    call: Call;
    hits: Hits;
    /** The revocations already in force. */
    active: readonly RevocationsTable[];
    policy: Policy;
  },
): Promise<Caution[]> {
  const { revocations, call, hits, active, policy } = about;
  const cautions: Caution[] = [];
  const { principal, credential } = call;
  if (credential !== null && revocations.isHit(row, { principal, credential })) {
    const back =
      row.kind === 'subject' && row.issued_before_ms === null
        ? 'you have no access until two other persons lift it'
        : 'sign in again to continue';
    cautions.push({ code: 'hits_you', detail: `This hits your own token or session: ${back}.` });
  }
  const same = active.find((other) => covers(other, row));
  if (same !== undefined) {
    cautions.push({
      code: 'revoked_already',
      detail: `The revocation ${same.id} already has the same effect.`,
    });
  }
  const isUnknown = cautions.length === 0 && Object.values(hits).every(({ length }) => length === 0);
  if (row.kind === 'subject' && isUnknown) {
    cautions.push({ code: 'unknown_subject', detail: await describeUnknown(db, row.value, policy) });
  }
  return cautions;
}

function covers(one: RevocationsTable, other: RevocationsTable): boolean {
  if (one.kind !== other.kind || one.value !== other.value) return false;
  if (one.issued_before_ms === null) return true;
  return other.issued_before_ms !== null && other.issued_before_ms <= one.issued_before_ms;
}

async function describeUnknown(db: Db, value: string, policy: Policy): Promise<string> {
  const known = (await listPrincipals(db)).flatMap(({ id, person }) => [
    id,
    ...(person === null ? [] : [resolvePerson(policy, person)]),
  ]);
  const nearest = nearestOf(value, known);
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`;
  return `No known principal has this name. If one appears, it will be refused.${hint}`;
}
