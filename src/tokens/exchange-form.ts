import { z } from 'zod';
import { readParameters } from './form-parameters.ts';

/** The grant type of RFC 8693. */
export const TOKEN_EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** The type of every issued token. */
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';

/** The type of every exchanged token: a platform's or a person's. */
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

const SHOWN_TYPES = [JWT_TYPE, 'urn:ietf:params:oauth:token-type:id_token'] as const;
const ISSUED_TYPES = [ACCESS_TOKEN_TYPE, JWT_TYPE] as const;

/** RFC 6749 appendix A.4: scope tokens, separated by single spaces. */
export const SCOPE = /^[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*$/;

/** A parameter without a value counts as absent. RFC 6749 section 3.1 */
const empty = z.literal('');

const exchangeParameters = {
  grant_type: z.literal(TOKEN_EXCHANGE_GRANT),
  subject_token: z.string().min(1).meta({
    description:
      "A platform's token; for an agent, the delegation token or the token of the person it acts for.",
  }),
  subject_token_type: z.enum(SHOWN_TYPES),
  requested_token_type: z.enum([...ISSUED_TYPES, '']).optional(),
  audience: z
    .string()
    .optional()
    .meta({ description: '`control` (the default), `audit` or `data:<environment>`.' }),
  scope: z
    .union([z.string().regex(SCOPE), empty])
    .optional()
    .meta({
      description: 'Operation names separated by single spaces. Default: all that is granted.',
    }),
};

/**
 * The forms that {@link parseExchangeForm} accepts, for the description of the API. Some are refused later with
 * `invalid_target` or `invalid_scope`, by what the trust rule grants.
 */
export const exchangeFormSchema = z
  .union([
    z.looseObject({
      ...exchangeParameters,
      actor_token: empty.optional(),
      actor_token_type: empty.optional(),
    }),
    z.looseObject({
      ...exchangeParameters,
      actor_token: z
        .string()
        .min(1)
        .meta({ description: 'The token of an agent that acts for the subject.' }),
      actor_token_type: z.enum(SHOWN_TYPES),
    }),
    z.looseObject({
      ...exchangeParameters,
      subject_token: z.string().min(1).meta({ description: "A job's own token of this broker." }),
      subject_token_type: z.literal(ACCESS_TOKEN_TYPE),
      resource: z.string().min(1).meta({
        description:
          'The address of a request that the job proposed, `<public_url>/v1/requests/<id>`. The new token reads that request and nothing else, for up to an hour.',
      }),
      actor_token: empty.optional(),
      actor_token_type: empty.optional(),
    }),
  ])
  .meta({ id: 'TokenExchange', description: 'A token exchange (RFC 8693 section 2.1).' });

/** A requested token exchange. Absent parameters are undefined; the trust rule then decides. */
export interface ExchangeForm {
  subjectToken: string;
  /** The token of an agent that acts for the subject. */
  actorToken: string | undefined;
  audience: string | undefined;
  scope: string[] | undefined;
  /** The request to follow, as an address; the subject token is then a token of the broker. */
  follows: string | undefined;
}

/** A fault of the form. It never reveals anything about a token. */
export interface FormFault {
  error: 'invalid_request' | 'invalid_scope' | 'invalid_target' | 'unsupported_grant_type';
  description: string;
}

/**
 * Reads the form of a token exchange. Unknown parameters are ignored, as RFC 6749 section 3.2 requires. Only
 * `subject_token` and `actor_token` identify the caller.
 *
 * @see RFC 8693 section 2.1
 */
export function parseExchangeForm(body: string): ExchangeForm | FormFault {
  const read = readParameters(body);
  if (read === null) return invalid('a parameter is given more than once');

  const grant = read('grant_type');
  if (grant === undefined) return invalid('grant_type is missing');
  if (grant !== TOKEN_EXCHANGE_GRANT) {
    return { error: 'unsupported_grant_type', description: 'only token exchange (RFC 8693) is supported' };
  }
  const subjectToken = read('subject_token');
  if (subjectToken === undefined) return invalid('subject_token is missing');
  const resource = read('resource');
  const isFollowUp = read('subject_token_type') === ACCESS_TOKEN_TYPE && resource !== undefined;
  if (!isFollowUp && !isOneOf(SHOWN_TYPES, read('subject_token_type'))) {
    return invalid('subject_token_type must be the jwt or the id_token type');
  }
  const actorToken = read('actor_token');
  const actorType = read('actor_token_type');
  if ((actorToken === undefined) !== (actorType === undefined)) {
    return invalid('actor_token and actor_token_type must be sent together');
  }
  if (actorType !== undefined && !isOneOf(SHOWN_TYPES, actorType)) {
    return invalid('actor_token_type must be the jwt or the id_token type');
  }
  if (!isOneOf(ISSUED_TYPES, read('requested_token_type') ?? ACCESS_TOKEN_TYPE)) {
    return invalid('requested_token_type must be the access_token or the jwt type');
  }
  if (resource !== undefined && (!isFollowUp || actorToken !== undefined)) {
    return { error: 'invalid_target', description: 'use audience instead of resource' };
  }
  const scope = read('scope');
  if (scope !== undefined && !SCOPE.test(scope)) {
    return {
      error: 'invalid_scope',
      description: 'scope must be operation names separated by single spaces',
    };
  }
  return {
    subjectToken,
    actorToken,
    audience: read('audience'),
    follows: resource,
    scope: scope === undefined ? undefined : uniqueWords(scope),
  };
}

/** The distinct values of a scope. */
export function uniqueWords(scope: string): string[] {
  return [...new Set(scope.split(' '))];
}

function isOneOf(types: readonly string[], type: string | undefined): boolean {
  return type !== undefined && types.includes(type);
}

function invalid(description: string): FormFault {
  return { error: 'invalid_request', description };
}
