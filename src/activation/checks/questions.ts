import { type FlagDefinition, TIERS } from '../../flags/model.ts';
import { OPERATION_NAMES, OPERATIONS, type Operation } from '../../operations.ts';
import { type InputRequest, NO_EMERGENCY } from '../../policy/input.ts';
import type { Question } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';
import {
  SAMPLE_OBJECTS,
  type SamplePlace,
  sampleChange,
  samplePerson,
  sampleQuestion,
  sampleRequest,
  scopeOf,
} from './samples.ts';

/*
 * The questions that tell what somebody may do: one for each operation, and in what respect. They derive from the list of
 * operations, so that a new one is asked about.
 */

/** Who asks, where, and when. */
export interface Asker {
  principal: Principal;
  /** Null for what is asked about no place. */
  place: SamplePlace | null;
  now_ms: number;
  /** Somebody else who may propose there. */
  other: Principal;
}

/** One thing that somebody may do, or not. */
export interface Ask {
  operation: Operation;
  /** The tier, or the kind of request; null if there is one question for the operation. */
  about: string | null;
  /** Whether the answer depends on environment and namespace. */
  placed: boolean;
  question(asker: Asker): Question;
}

const HOUR_MS = 60 * 60 * 1000;
const INCIDENT = { incident: 'INC-1', reason: 'a sample' } as const;

/** Operations on requests that somebody else wrote. */
const BY_OTHERS: readonly Operation[] = ['request.approve', 'request.reject', 'request.apply'];
/** Operations on requests, whatever their data says. */
const ON_REQUESTS: readonly Operation[] = [
  'request.propose',
  'request.edit',
  'request.schedule',
  ...BY_OTHERS,
];
/** Kinds whose place depends on their object. */
const PLACED_KINDS: readonly string[] = ['freeze.lift'];

/** Nobody whom the broker knows, who wrote what others approve. */
export const SOMEBODY_ELSE = samplePerson('somebody-else', { issuer: 'https://sample.invalid' });

/** Everything that somebody may be asked about. */
export const ASKS: readonly Ask[] = [
  ...OPERATION_NAMES.flatMap(asksOf),
  ...Object.keys(SAMPLE_OBJECTS).flatMap((kind) =>
    ON_REQUESTS.map((operation) => askOfKind(operation, kind)),
  ),
];

function asksOf(operation: Operation): Ask[] {
  // One may approve some tiers, and propose some, and not others.
  if (operation === 'request.approve' || operation === 'request.propose') {
    return TIERS.map((tier) => ({
      ...placed(operation, (asker) => onFlag(operation, tier, asker)),
      about: tier,
    }));
  }
  if (ON_REQUESTS.includes(operation))
    return [placed(operation, (asker) => onFlag(operation, 'sensitive', asker))];
  if (operation === 'breakglass.apply') return [placed(operation, inBreakGlass)];
  if (operation === 'freeze.engage') return [placed(operation, (asker) => freezing(asker, asker.place))];
  if (OPERATIONS[operation].at === 'seen') {
    return [
      placed(operation, ({ principal, place }) =>
        sampleQuestion(operation, principal, {
          environment: place?.environment ?? null,
          namespace: place?.namespace ?? null,
        }),
      ),
    ];
  }
  return [{ operation, about: null, placed: false, question: (asker) => withoutPlace(operation, asker) }];
}

function placed(operation: Operation, question: Ask['question']): Ask {
  return { operation, about: null, placed: true, question };
}

function onFlag(operation: Operation, tier: FlagDefinition['tier'], asker: Asker): Question {
  const { place, principal, now_ms } = asker;
  const change = sampleChange({ namespace: place?.namespace ?? 'sample', tier }, 'raise');
  const request = sampleRequest(
    { kind: 'flag.change', changes: [change] },
    authorOf(operation, asker),
    now_ms,
  );
  return sampleQuestion(operation, principal, {
    environment: place?.environment ?? null,
    request,
  });
}

function askOfKind(operation: Operation, kind: string): Ask {
  const objectOf = SAMPLE_OBJECTS[kind];
  if (objectOf === undefined) throw new Error(`no sample for requests of kind ${kind}`);
  return {
    operation,
    about: kind,
    placed: PLACED_KINDS.includes(kind),
    question: (asker) => {
      const request = sampleRequest(
        { kind, object: objectOf(asker.place) },
        authorOf(operation, asker),
        asker.now_ms,
      );
      return sampleQuestion(operation, asker.principal, {
        environment: asker.place?.environment ?? null,
        request,
      });
    },
  };
}

function authorOf(operation: Operation, { principal, other }: Asker): Principal {
  return BY_OTHERS.includes(operation) ? other : principal;
}

function inBreakGlass({ principal, place, now_ms }: Asker): Question {
  const change = sampleChange({ namespace: place?.namespace ?? 'sample' }, 'lower');
  return sampleQuestion('breakglass.apply', principal, {
    environment: place?.environment ?? null,
    request: sampleRequest({ kind: 'flag.change', changes: [change] }, principal, now_ms),
    emergency: { ...NO_EMERGENCY, breakglass: session(now_ms) },
  });
}

function freezing({ principal }: Asker, place: SamplePlace | null): Question {
  return sampleQuestion('freeze.engage', principal, {
    environment: place?.environment ?? null,
    emergency: { ...NO_EMERGENCY, engage: { ...scopeOf(place), ...INCIDENT } },
  });
}

function session(nowMs: number): NonNullable<Question['emergency']['breakglass']> {
  return { id: 'sample', opened_ms: nowMs, expires_ms: nowMs + HOUR_MS, ...INCIDENT };
}

/** A question about no place, with what the operation takes besides. */
function withoutPlace(operation: Operation, asker: Asker): Question {
  const { principal, now_ms } = asker;
  switch (operation) {
    case 'request.withdraw':
      return sampleQuestion(operation, principal, { request: ownRequest(principal, now_ms) });
    case 'request.expire':
      return sampleQuestion(operation, principal, { request: ownRequest(asker.other, now_ms) });
    case 'breakglass.open':
    case 'breakglass.close':
      return sampleQuestion(operation, principal, {
        emergency: { ...NO_EMERGENCY, breakglass: session(now_ms) },
      });
    case 'revocation.add':
    case 'revocation.preview':
      return sampleQuestion(operation, principal, {
        revocation: { kind: 'class', value: 'workload', issued_before_ms: null, ...INCIDENT },
      });
    default:
      return sampleQuestion(operation, principal);
  }
}

function ownRequest(principal: Principal, nowMs: number): InputRequest {
  return sampleRequest({ kind: 'flag.change', changes: [sampleChange({}, 'lower')] }, principal, nowMs);
}
