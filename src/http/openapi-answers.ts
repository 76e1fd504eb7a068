import { z } from 'zod';
import type { ZodOpenApiResponsesObject } from 'zod-openapi';
import { fieldFaultSchema, gateSchema } from '../errors.ts';
import { PROBLEMS, type ProblemCode } from '../problems.ts';
import { reasonSchema } from '../reason.ts';
import { type ErrorFormat, problemsOf, type RouteShape } from './route.ts';

/*
 * The answers of the OpenAPI document in part: headers, and refusals in each format.
 */

const text = { type: 'string' } as const;
/** The headers of answers. */
export const HEADERS = {
  ETag: { description: 'A strong validator of the content.', schema: text },
  Location: { description: 'The path of what was created, or where to continue.', schema: text },
  Link: { description: 'The next page (RFC 8288).', schema: text },
  Replayed: {
    description: '`true` if the answer is that of an earlier request with the same key.',
    schema: text,
  },
  RetryAfter: { description: 'Seconds.', schema: text },
  Challenge: { description: 'How to authenticate (RFC 6750, RFC 9449, RFC 9470).', schema: text },
} as const;

/** The name of a header in the document. */
export type HeaderName = keyof typeof HEADERS;

/** References to headers, by the names under which they are sent. */
export function headers(named: Readonly<Record<string, HeaderName>>) {
  return Object.fromEntries(
    Object.entries(named).map(([name, header]) => [
      name,
      { $ref: `#/components/headers/${header}` as const },
    ]),
  );
}

/** The bodies of refusals. @see RFC 9457, RFC 6749 section 5.2, RFC 7644 section 3.12, OFREP 0.3.0 */
export const ERROR_SCHEMAS = {
  Problem: z.looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: 'Stable; docs/problems.md explains each.' }),
    detail: z.string(),
    instance: z.string(),
    errors: z.array(fieldFaultSchema).optional(),
    gates: z.array(gateSchema).optional().meta({ description: 'What would change the answer.' }),
    reasons: z.array(reasonSchema).optional(),
    decision_id: z.string().optional(),
    policy_hash: z.string().optional(),
  }),
  OAuthError: z.object({
    error: z.string(),
    error_description: z.string(),
    reference: z.string().optional(),
  }),
  ScimError: z.object({
    schemas: z.array(z.string()),
    status: z.string(),
    scimType: z.string().optional(),
    detail: z.string(),
  }),
  OfrepError: z.object({ key: z.string().optional(), errorCode: z.string(), errorDetails: z.string() }),
};

/** The statuses and codes of refusals, by the format of the route. */
export function errorsOf(route: RouteShape): ZodOpenApiResponsesObject {
  const byStatus = Map.groupBy(problemsOf(route), (code) => statusOf(route.format, code));
  return Object.fromEntries(
    [...byStatus]
      .toSorted(([one], [other]) => one - other)
      .map(([status, codes]) => [
        String(status),
        {
          description: `${codes.map((code) => PROBLEMS[code].title).join('; or: ')}.`,
          headers: headers({
            ...(status === 401 ? { 'WWW-Authenticate': 'Challenge' } : {}),
            ...(status === 412 ? { ETag: 'ETag' } : {}),
            ...(status === 429 || status === 503 ? { 'Retry-After': 'RetryAfter' } : {}),
          }),
          content: errorContent(route.format, codes),
        },
      ]),
  );
}

/** A provider understands only 400 as a refusal of its logout token. */
function statusOf(format: ErrorFormat, code: ProblemCode): number {
  const { status } = PROBLEMS[code];
  return format === 'logout' && status < 500 ? 400 : status;
}

function errorContent(format: ErrorFormat, codes: readonly ProblemCode[]) {
  const reference = (name: keyof typeof ERROR_SCHEMAS) => ({ $ref: `#/components/schemas/${name}` });
  switch (format) {
    case 'problem':
      return {
        'application/problem+json': {
          // Codes may be added, so clients must not rely on the list being complete.
          schema: {
            allOf: [reference('Problem'), { properties: { code: { 'x-extensible-enum': [...codes] } } }],
          },
        },
      };
    case 'oauth':
    case 'logout':
      return { 'application/json': { schema: reference('OAuthError') } };
    case 'scim':
      return { 'application/scim+json': { schema: reference('ScimError') } };
    case 'ofrep':
      return { 'application/json': { schema: reference('OfrepError') } };
    case 'page':
      return { 'text/html': { schema: text } };
  }
}
