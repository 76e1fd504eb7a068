import { BROKER_EVENTS, OPERATOR_ACTS, type Operation } from '../../operations.ts';
import { MeaningFault } from './fault.ts';
import type { LogRecord } from './leaf.ts';

/*
 * Which records may say that no policy decided them. Only a decision that a policy made can be made again, so whatever
 * else said so would escape that.
 */

/** What an operator does as a policy becomes active without a request: the first start, and a recovery. */
const ACTIVATES = 'policy.activate' satisfies Operation;
/** The one act that freezes, and goes on from another log. */
const RESTORES: keyof typeof OPERATOR_ACTS = 'restore.accept';
/** The one event that says what applications are served. */
const PUBLISHES: keyof typeof BROKER_EVENTS = 'snapshot.publish';
/** The issuer of the broker's own principals. */
const OWN_ISSUER = 'countersign';

/** Whether no policy decides such a record: an act of an operator, or an event of the broker itself. */
export function isUndecided({ operation, request, activates }: LogRecord): boolean {
  if (request !== null) return false;
  if (operation === ACTIVATES) return activates !== null;
  return Object.hasOwn(OPERATOR_ACTS, operation) || Object.hasOwn(BROKER_EVENTS, operation);
}

/** @throws MeaningFault if a record without a policy is not of those that have none, or changes what those never do */
export function assertDecided(record: LogRecord): void {
  const { place, operation, schema } = record;
  const fault = (message: string) => new MeaningFault('policy_missing', place, message);
  if ((schema.input === null) !== (schema.guardrails === null))
    throw fault('it has the version of an input or of guardrails, and lacks the other');
  const isWithout = schema.input === null;
  if (isWithout !== isUndecided(record))
    throw fault(
      isWithout
        ? `it says that no policy decided ${operation}`
        : `it says that a policy decided ${operation}, which none decides`,
    );
  if (!isWithout) return;
  const wrong = excessOf(record);
  if (wrong !== undefined) throw fault(`no policy decided it, and it ${wrong}`);
}

/** What a record has that none without a policy has. */
function excessOf(record: LogRecord): string | undefined {
  const { operation, effect, principal, person, freeze } = record;
  const isAllowed = operation !== ('denials.counted' satisfies keyof typeof BROKER_EVENTS);
  // Only what an operator activates can be so large that its leaf has digests of its lists, which is listed then.
  const isEmpty = (list: readonly unknown[] | null) =>
    list === null ? operation === ACTIVATES : list.length === 0;
  const found: [boolean, string][] = [
    [
      principal.kind !== 'workload' || principal.issuer !== OWN_ISSUER,
      'is not by the broker or its operator',
    ],
    [person !== null, 'is by a person'],
    [effect !== (isAllowed ? 'allow' : 'deny'), `is decided: ${effect}`],
    [record.stage !== null || record.environment !== null, 'is of one environment or stage'],
    [record.guardrail !== null, 'is overruled by a guardrail'],
    [!isEmpty(record.votes) || !isEmpty(record.authors), 'counts votes or has authors'],
    [!isEmpty(record.flags), 'is about flags'],
    [!isEmpty(record.passed) || record.exception, 'passes a freeze, or serves a user by exception'],
    [record.isErasure, 'erases something'],
    [record.log_key !== undefined, 'hands over the log'],
    [record.snapshot !== undefined && operation !== PUBLISHES, 'publishes a snapshot'],
    [record.activates !== null && operation !== ACTIVATES, 'activates a policy'],
    [freeze !== null && (freeze.change !== 'engaged' || operation !== RESTORES), 'changes a freeze'],
  ];
  return found.find(([is]) => is)?.[1];
}
