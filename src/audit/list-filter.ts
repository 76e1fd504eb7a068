import type { Intent } from '../decide/authorize.ts';
import { type Call, type ControlDeps, knowsEnvironment } from '../decide/control.ts';
import { type Asking, askingOf, assertEnvironment, assertPrincipal, flagsLike } from '../decide/names.ts';
import { findDefinition } from '../store/flags.ts';
import { listRecords, type RecordFilter } from '../store/record-list.ts';
import { hasRecordsOf } from '../store/records.ts';
import { findRequest } from '../store/requests.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';

/**
 * Checks the environment that the log is asked for. The log also has environments that the policy no longer has, and
 * misspelt ones that it was denied for.
 *
 * @throws BrokerError `not_found`
 */
export async function assertRecordedEnvironment(
  control: ControlDeps,
  call: Call,
  environment: string | undefined,
): Promise<void> {
  if (environment === undefined || (await hasRecordsOf(control.store.read, environment))) return;
  assertEnvironment(await askingOf(control, call), environment, { operation: 'decision.read' });
}

/**
 * Checks the names that an empty page of the log was asked for: it must not hide a misspelt name. Whoever reads the log
 * reads all of it, so every name may be told.
 *
 * @throws BrokerError `not_found` for a name that neither the broker nor the log has
 */
export async function assertRecorded(
  { db }: Pick<Asking, 'db'>,
  { flag, principal, request }: RecordFilter,
): Promise<void> {
  // A name that was not found so far may still be in what the next pages look at.
  const isRecorded = async (filter: RecordFilter) => {
    const { rows, next } = await listRecords(db, { filter, beforePlace: null, limit: 1 });
    return rows.length > 0 || next !== null;
  };
  if (flag !== undefined && (await findDefinition(db, flag)) === undefined && !(await isRecorded({ flag }))) {
    const known = (await flagsLike(db, flag)).map(({ name }) => name);
    throw unknownName({ what: 'flag', name: flag, pointer: '#/flag', nearest: nearestOf(flag, known) });
  }
  if (principal !== undefined && !(await isRecorded({ principal }))) {
    await assertPrincipal(db, principal, '#/principal');
  }
  if (
    request !== undefined &&
    (await findRequest(db, request)) === undefined &&
    !(await isRecorded({ request }))
  ) {
    throw unknownName({ what: 'request', name: request, pointer: '#/request' });
  }
}

/** What has to be allowed to somebody who reads the log of an environment; of one that the policy does not have, all of the log. */
export function readingOf({ policy }: Pick<Asking, 'policy'>, environment: string | undefined): Intent {
  const isKnown = environment !== undefined && knowsEnvironment(policy, environment);
  return { operation: 'decision.read', environment: isKnown ? environment : null };
}
