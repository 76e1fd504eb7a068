import { z } from 'zod';
import { isClaimName } from '../identity/claim.ts';
import { isSpiffe, isTrustDomain } from './spiffe.ts';

/*
 * Issuers: the configured issuers of accepted tokens, including SPIFFE trust domains, and their keys, fetched or read
 * from files and filtered. Nothing here reads a token.
 */

/** The configurable signature algorithms. Symmetric ones and `none` are excluded. */
export const SIGNATURE_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const;

/** Claims that a person or a help desk can change, so they never identify a person. OpenID Connect Core 5.7. */
const UNSTABLE_CLAIMS: ReadonlySet<string> = new Set([
  'email',
  'name',
  'nickname',
  'preferred_username',
  'phone_number',
]);

/** Claims that identify one person for good at the common providers. Every other one has to be declared as stable. */
export const STABLE_CLAIMS: ReadonlySet<string> = new Set([
  'sub',
  // Microsoft Entra ID: the object in the directory.
  'oid',
  'onprem_sid',
  // Assigned by the employer, in the spellings of SCIM, LDAP and claims.
  'employee_id',
  'employeeid',
  'employeeId',
  'employee_number',
  'employeenumber',
  'employeeNumber',
]);

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * True when keys may be fetched from this address: https anywhere, plain http only for loopback hosts and only if
 * allowed, without credentials or fragment.
 */
export function isFetchable(address: string, allowInsecureLoopback: boolean): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && allowInsecureLoopback && LOOPBACK_HOST.test(url.hostname);
}

/** The source of an issuer's keys: `jwks_uri`, or OpenID Connect discovery at the issuer. */
const keySourceFields = {
  issuer: z.string().min(1).max(512).meta({ description: 'the exact `iss`, compared byte for byte' }),
  jwks_uri: z
    .string()
    .max(1024)
    .optional()
    .meta({ description: 'where its keys are', fallback: 'by discovery' }),
  allow_insecure_loopback: z
    .boolean()
    .default(false)
    .meta({ description: 'allows plain http on this machine; for tests and demos' }),
};

/** A file with the key set, for unreachable issuers. It is reloaded when it changes. */
const jwksFile = z.string().min(1).max(4096).optional();

function checkOneKeySource(
  { jwks_uri, jwks_file }: { jwks_uri?: string | undefined; jwks_file?: string | undefined },
  context: z.RefinementCtx,
): void {
  if (jwks_uri === undefined || jwks_file === undefined) return;
  const message = 'cannot be combined with jwks_uri: remove one of them';
  context.addIssue({ code: 'custom', path: ['jwks_file'], message });
}

function checkKeySource(
  value: { issuer?: string | undefined; jwks_uri?: string | undefined; allow_insecure_loopback: boolean },
  context: z.RefinementCtx,
): void {
  for (const field of ['issuer', 'jwks_uri'] as const) {
    const address = value[field];
    if (address !== undefined && !isFetchable(address, value.allow_insecure_loopback)) {
      context.addIssue({
        code: 'custom',
        path: [field],
        message:
          'must be an https URL without credentials or fragment (http is allowed for loopback hosts if allow_insecure_loopback is true)',
      });
    }
  }
}

const algorithms = z.array(z.enum(SIGNATURE_ALGORITHMS)).min(1);
const stringOrList = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform((value): string[] => (typeof value === 'string' ? [value] : value));
const level = z.int().min(0).max(9);
/** A claim by its name, or by a JSON Pointer. */
const claimName = z
  .string()
  .min(1)
  .refine(isClaimName, 'is not a JSON Pointer (RFC 6901): write ~ as ~0, and / within a name as ~1');

/** What is read from a person's token. */
const claimSettings = z
  .strictObject({
    person: claimName
      .refine(
        (claim) => !UNSTABLE_CLAIMS.has(claim),
        'must be a stable identifier; addresses and names do not identify a person',
      )
      .optional()
      .meta({
        description:
          'the claim that identifies one human across all accounts; never a name or an e-mail address. A token without it is refused. See [Several providers](identity.md#several-providers-one-human)',
      }),
    person_is_stable: z.boolean().default(false).meta({
      description:
        'declares that `claims.person`, if it is another than `sub`, `oid`, `onprem_sid` and the employee number, cannot be changed and is never given to somebody else; logged at each start',
    }),
    groups: claimName.default('groups').meta({
      description:
        'the claim with the groups, one or a list. Like each claim here a name, or a JSON Pointer such as `/realm_access/roles`',
    }),
    pass: z.array(claimName).max(50).default([]).meta({ description: 'claims that the policy may see' }),
  })
  .superRefine(checkPersonClaim);

/** How the command line signs people in. */
const loginSettings = z.strictObject({
  client_id: z.string().min(1).meta({
    description: 'the client id of the command line; required where `login` is given',
    fallback: 'the first `audience`',
  }),
  scope: z.string().min(1).default('openid').meta({
    description:
      'the scope that the command line asks for; `openid offline_access` where the provider gives refresh tokens only for that',
  }),
  redirect_port: z.int().min(1).max(65_535).optional().meta({
    description: 'the port of the redirect URI `http://127.0.0.1:<port>/cb`, for providers that compare it',
    fallback: 'any free port',
  }),
  /** It is published, so it protects nothing. RFC 8252 section 8.5 */
  client_secret: z.string().min(1).optional().meta({
    description:
      'for providers that demand one of native clients. Everybody can read it at `/.well-known/countersign`',
  }),
});

/** How the broker's own pages sign people in. */
const webSettings = z.strictObject({
  client_id: z.string().min(1).meta({
    description:
      "the client id of the broker's own pages; one of `audience`, registered with `<public_url>/auth/callback` ([addresses](identity.md#people)); required where `web` is given",
    fallback: 'no sign-in by browser',
  }),
  client_secret_file: z.string().min(1).optional().meta({
    description: 'the file with its secret; PKCE protects the code either way',
    fallback: 'a public client',
  }),
  scope: z.string().min(1).default('openid').meta({ description: 'the scope that the pages ask for' }),
  allow_untyped_logout_token: z.boolean().default(false).meta({
    description: 'accepts logout tokens from providers that do not set the type `logout+jwt`',
  }),
});

/** The configuration of an issuer of person tokens: an OpenID Connect provider. */
export const issuerConfigSchema = z
  .strictObject({
    /** It has no `:`, so that `key:sub` is unambiguous. */
    key: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,62}$/)
      .meta({ description: 'names an identity provider of people in principal ids: `person:corp:<sub>`' }),
    ...keySourceFields,
    jwks_file: jwksFile.meta({
      description:
        'a file with its key set instead, read again when it changes; for [an outage of the provider](emergencies.md#while-the-identity-provider-is-down)',
    }),
    audience: stringOrList.meta({
      description:
        "the client ids (ID tokens) and API audiences (access tokens) of Countersign, one or a list; the first is the command line's",
    }),
    algorithms: algorithms
      .default(['ES256', 'RS256', 'PS256', 'EdDSA'])
      .meta({ description: 'signature algorithms that are accepted' }),
    authorized_parties: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .meta({ description: 'the clients whose tokens count (`azp`)', fallback: '`audience`' }),
    token_types: z
      .array(z.enum(['id_token', 'access_token']))
      .min(1)
      .default(['id_token'])
      .meta({ description: '`id_token`, `access_token` or both' }),
    claims: claimSettings.prefault({}),
    disjoint: z
      .boolean()
      .default(false)
      .meta({ description: 'declares that nobody here has an account at another issuer' }),
    /** @see OpenID Connect Core 8 */
    subject_type: z.enum(['public']).optional().meta({
      description: '`public` declares that each person has one `sub` for all clients',
      fallback: 'by discovery',
    }),
    login: loginSettings.optional(),
    web: webSettings.optional(),
    /** The level of a sign-in: the highest level of its `acr` and `amr` values, otherwise 0. */
    levels: z
      .strictObject({
        acr: z
          .record(z.string(), level)
          .default({})
          .meta({ description: 'the level, from 0 to 9, of a sign-in with an `acr`' }),
        amr: z
          .record(z.string(), level)
          .default({})
          .meta({ description: 'the level, from 0 to 9, of a sign-in with an `amr`; the highest counts' }),
      })
      .prefault({}),
  })
  .superRefine(checkKeySource)
  .superRefine(checkOneKeySource)
  .superRefine(checkWebClient);

/** @see OpenID Connect Core 5.7: only `sub` with its issuer is promised to be stable */
function checkPersonClaim(
  { person, person_is_stable }: { person?: string | undefined; person_is_stable: boolean },
  context: z.RefinementCtx,
): void {
  if (person === undefined || person_is_stable || UNSTABLE_CLAIMS.has(person) || STABLE_CLAIMS.has(person))
    return;
  context.addIssue({
    code: 'custom',
    path: ['person'],
    message: `may change or be given to somebody else (OpenID Connect Core 5.7): use one of ${[...STABLE_CLAIMS].join(', ')}, or set person_is_stable: true if it is as stable`,
  });
}

/** The ID token of a browser sign-in is verified by the same rules as every other token, so they must accept it. */
function checkWebClient(
  issuer: {
    audience: readonly string[];
    authorized_parties?: string[] | undefined;
    token_types: readonly string[];
    web?: { client_id: string; scope: string } | undefined;
  },
  context: z.RefinementCtx,
): void {
  const { audience, authorized_parties, token_types, web } = issuer;
  if (web === undefined) return;
  const fault = (path: string[], message: string) =>
    context.addIssue({ code: 'custom', path: ['web', ...path], message });
  if (!audience.includes(web.client_id)) {
    fault(['client_id'], "must be one of the issuer's audience values, because its ID tokens name it there");
  }
  if (authorized_parties?.includes(web.client_id) === false) {
    fault(['client_id'], "must be one of the issuer's authorized_parties");
  }
  if (!web.scope.split(' ').includes('openid')) fault(['scope'], 'must contain openid');
  if (!token_types.includes('id_token')) fault([], "requires id_token in the issuer's token_types");
}

/** The signature algorithms that SPIFFE allows. JWT-SVID section 2.2 */
const SPIFFE_ALGORITHMS: readonly string[] = SIGNATURE_ALGORITHMS.filter(
  (algorithm) => algorithm !== 'EdDSA',
);

const workloadFields = z.strictObject({
  ...keySourceFields,
  issuer: keySourceFields.issuer.meta({
    description:
      'the exact `iss` of a platform, or a SPIFFE trust domain; only where discovery does not work',
  }),
  jwks_file: jwksFile.meta({
    description: 'a file with its key set, read again when it changes; for issuers that cannot be reached',
  }),
  algorithms: algorithms.optional().meta({
    description: 'signature algorithms that are accepted',
    fallback: '`RS256`, `ES256`; SPIFFE: all that it allows',
  }),
});

/**
 * Settings for an issuer of workload tokens. An issuer in a trust rule requires none if discovery works. For SPIFFE,
 * `issuer` is the trust domain, such as `spiffe://example.org`.
 */
export const workloadIssuerSchema = workloadFields.superRefine(checkWorkloadKeySource);

function checkWorkloadKeySource(value: z.output<typeof workloadFields>, context: z.RefinementCtx): void {
  const fault = (path: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [path], message });
  checkOneKeySource(value, context);
  if (!isSpiffe(value.issuer)) {
    checkKeySource(value, context);
    return;
  }
  if (!isTrustDomain(value.issuer)) {
    fault('issuer', 'must be spiffe:// and a trust domain in lower case, without a path');
  }
  if (value.jwks_uri === undefined && value.jwks_file === undefined) {
    fault('jwks_file', 'or jwks_uri is required for a trust domain, because SPIFFE has no discovery');
  }
  if (value.algorithms?.some((algorithm) => !SPIFFE_ALGORITHMS.includes(algorithm))) {
    fault('algorithms', `must be a subset of ${SPIFFE_ALGORITHMS.join(', ')}, as SPIFFE requires`);
  }
  checkKeySource({ ...value, issuer: undefined }, context);
}

/** The accepted signature algorithms of an issuer of workload tokens. */
export function algorithmsOf({ issuer, algorithms: configured }: WorkloadIssuer): readonly string[] {
  return configured ?? (isTrustDomain(issuer) ? SPIFFE_ALGORITHMS : ['RS256', 'ES256']);
}

/** The settings of an issuer that a trust rule names; null for one whose keys may not be fetched, such as plain http. */
export function workloadSettings(
  configured: readonly WorkloadIssuer[],
  issuer: string,
): WorkloadIssuer | null {
  const found = configured.find((settings) => settings.issuer === issuer);
  return found ?? workloadIssuerSchema.safeParse({ issuer }).data ?? null;
}

/** A person issuer, as configured. */
export type IssuerConfig = z.infer<typeof issuerConfigSchema>;

/** A workload issuer, as configured. */
export type WorkloadIssuer = z.infer<typeof workloadIssuerSchema>;

/** The minimum level of a sign-in with two factors. */
export const MFA_LEVEL = 2;

/** The `acr` values of an issuer for at least this level, strongest first. */
export function acrValuesOf({ levels }: Pick<IssuerConfig, 'levels'>, atLeast: number): string[] {
  return Object.entries(levels.acr)
    .filter(([, level]) => level >= atLeast)
    .sort(([, one], [, other]) => other - one)
    .map(([acr]) => acr);
}

/** {@link acrValuesOf} by the exact `iss`; an issuer that is not configured has none. */
export function acrValuesFor(
  issuers: readonly IssuerConfig[],
): (issuer: string, atLeast: number) => readonly string[] {
  const configured = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  return (issuer, atLeast) => {
    const found = configured.get(issuer);
    return found === undefined ? [] : acrValuesOf(found, atLeast);
  };
}
