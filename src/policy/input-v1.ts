import { z } from 'zod';
import { type ChangeFacts, changeFactsSchema, inputChangeSchema } from '../flags/change-facts.ts';
import { identifier, type Principal, principalSchema } from '../principal.ts';
import {
  inputBaseSchema,
  inputFreezeSchema,
  inputRequestSchema,
  inputRevocationSchema,
  type PolicyInput,
  type Vote,
  voteSchema,
} from './input.ts';

/**
 * Version 1 of the input document: for bundles that declare no version, and for the replay of former decisions. It has a
 * member for each of the two former objects, in place of `request.object`.
 */

const principalV1Schema = principalSchema.omit({ started_by: true, groups_seen_ms: true });
const voteV1Schema = voteSchema.extend({ principal: principalV1Schema });
/** Facts that version 1 does not have. */
const LATER_FACTS = {
  safe: true,
  swaps: true,
  moved_percent: true,
  organizations_named: true,
  reaches_everybody: true,
} as const;

const changeSchema = inputChangeSchema.extend({ facts: changeFactsSchema.omit(LATER_FACTS) });

const requestSchema = inputRequestSchema
  .omit({ object: true, start_ms: true, subject_takes_part: true })
  .extend({
    proposer: principalV1Schema,
    kind: z.enum(['flag.change', 'freeze.lift', 'revocation.lift']),
    changes: z.array(changeSchema),
    /** The freeze to lift, for `freeze.lift`. */
    freeze: inputFreezeSchema.nullable(),
    /** The revocation to lift, for `revocation.lift`. */
    revocation: inputRevocationSchema.extend({ id: identifier }).optional(),
  });

/** The whole input document of version 1. */
export const inputV1Schema = inputBaseSchema.omit({ recent: true, log: true }).extend({
  schema_version: z.literal(1),
  principal: principalV1Schema,
  request: requestSchema.nullable(),
  approvals: z.array(voteV1Schema),
  rejections: z.array(voteV1Schema),
});

/** Converts the document to version 1. A kind that version 1 does not have fails its schema. */
export function toInputV1(input: PolicyInput): unknown {
  const { recent: _, log: __, ...known } = input;
  const { principal, request, approvals, rejections } = known;
  const document = {
    ...known,
    schema_version: 1,
    principal: toPrincipalV1(principal),
    approvals: approvals.map(toVoteV1),
    rejections: rejections.map(toVoteV1),
  };
  if (request === null) return document;
  const { object, facts, parked, start_ms: ___, ...kept } = request;
  const { type = null, ...members } = object ?? {};
  return {
    ...document,
    request: {
      ...kept,
      proposer: toPrincipalV1(kept.proposer),
      changes: kept.changes.map((change) => ({ ...change, facts: factsOfV1(change.facts) })),
      freeze: type === 'freeze' ? members : null,
      ...(type === 'revocation' ? { revocation: members } : {}),
      facts,
      ...(parked === undefined ? {} : { parked }),
    },
  };
}

/** Whoever started a job is among the authors of the request. */
function toPrincipalV1(principal: Principal): unknown {
  // What is no principal stays so: the schema denies it.
  if (typeof principal !== 'object' || principal === null) return principal;
  const { started_by: _, groups_seen_ms: __, ...known } = principal;
  return known;
}

function toVoteV1(vote: Vote): unknown {
  return { ...vote, principal: toPrincipalV1(vote.principal) };
}

function factsOfV1(facts: ChangeFacts): object {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => !Object.hasOwn(LATER_FACTS, name)));
}
