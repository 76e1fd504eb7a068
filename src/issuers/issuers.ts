import { z } from 'zod';
import { isSpiffe, isTrustDomain } from './spiffe.ts';

/*
 * Issuers: whose tokens are believed, as the configuration says, and their keys: fetched, from files, filtered. SPIFFE trust
 * domains too. Nothing here reads a token.
 */

/** The signature algorithms that can be configured. Symmetric ones and `none` are not among them. */
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

/** Claims that a person or their help desk can change, so they never name a person. OpenID Connect Core 5.7. */
const UNSTABLE_CLAIMS: ReadonlySet<string> = new Set([
  'email',
  'name',
  'nickname',
  'preferred_username',
  'phone_number',
]);

const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * True when keys may be fetched from this address: https anywhere, plain http on this machine only and only when that
 * is allowed; no credentials, no fragment.
 */
export function isFetchable(address: string, allowInsecureLoopback: boolean): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && allowInsecureLoopback && LOOPBACK_HOST.test(url.hostname);
}

/** Where an issuer's keys come from: `jwks_uri`, or OpenID Connect discovery at the issuer. */
const keySourceFields = {
  /** The exact `iss`, compared byte for byte. */
  issuer: z.string().min(1).max(512),
  jwks_uri: z.string().max(1024).optional(),
  /** Allows plain http for loopback hosts: tests and demos only. */
  allow_insecure_loopback: z.boolean().default(false),
};

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
          'must be an https URL without credentials and fragment (http for loopback hosts when allow_insecure_loopback is true)',
      });
    }
  }
}

const algorithms = z.array(z.enum(SIGNATURE_ALGORITHMS)).min(1);
const stringOrList = z
  .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
  .transform((value): string[] => (typeof value === 'string' ? [value] : value));
const level = z.int().min(0).max(9);

/** The configuration of an issuer of person tokens: an OpenID Connect provider. */
export const issuerConfigSchema = z
  .strictObject({
    /** Names the issuer in principal ids. It has no `:`, so that `key:sub` reads in one way only. */
    key: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
    ...keySourceFields,
    /** The client ids (ID tokens) and API audiences (access tokens) that belong to Countersign. */
    audience: stringOrList,
    algorithms: algorithms.default(['ES256', 'RS256', 'PS256', 'EdDSA']),
    /** The clients whose tokens count. Without it, `azp` of an ID token must be one of `audience`. */
    authorized_parties: z.array(z.string().min(1)).min(1).optional(),
    token_types: z
      .array(z.enum(['id_token', 'access_token']))
      .min(1)
      .default(['id_token']),
    claims: z
      .strictObject({
        /** The claim that names the human across accounts and issuers, such as `employee_id`. A token without it is refused. */
        person: z
          .string()
          .min(1)
          .refine(
            (claim) => !UNSTABLE_CLAIMS.has(claim),
            'must be a stable identifier; an address or a name never identifies a person',
          )
          .optional(),
        groups: z.string().min(1).default('groups'),
        /** Claims that policy sees in `principal.claims`, where the token has them. */
        pass: z.array(z.string().min(1)).max(50).default([]),
      })
      .prefault({}),
    /** How the command line signs people in. Default: the first audience as client id, and the scope `openid`. */
    login: z
      .strictObject({ client_id: z.string().min(1), scope: z.string().min(1).default('openid') })
      .optional(),
    /** How browsers sign people in at the broker itself; without it nobody does with this issuer. */
    web: z
      .strictObject({
        /** One of `audience`: the client that is registered with `<public_url>/auth/callback`, or `…/auth/callback/<key>`. */
        client_id: z.string().min(1),
        /** The file with the client's secret; without it the client is public, and PKCE alone protects the code. */
        client_secret_file: z.string().min(1).optional(),
        scope: z.string().min(1).default('openid'),
        /** Takes logout tokens without a type of their own, from providers that do not know `logout+jwt`. */
        allow_untyped_logout_token: z.boolean().default(false),
      })
      .optional(),
    /** Strength of a sign-in: the highest level that the `acr` or one of the `amr` stands for, else 0. */
    levels: z
      .strictObject({
        acr: z.record(z.string(), level).default({}),
        amr: z.record(z.string(), level).default({}),
      })
      .prefault({}),
  })
  .superRefine(checkKeySource)
  .superRefine(checkWebClient);

/** The ID token of a browser's sign-in is held against the same rules as every other, so they must let it through. */
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
    fault(['client_id'], "must be one of the issuer's audience: its ID tokens name it there");
  }
  if (authorized_parties?.includes(web.client_id) === false) {
    fault(['client_id'], "must be one of the issuer's authorized_parties");
  }
  if (!web.scope.split(' ').includes('openid')) fault(['scope'], 'must contain openid');
  if (!token_types.includes('id_token')) fault([], "needs id_token among the issuer's token_types");
}

/** What SPIFFE lets tokens be signed with. JWT-SVID section 2.2 */
const SPIFFE_ALGORITHMS: readonly string[] = SIGNATURE_ALGORITHMS.filter(
  (algorithm) => algorithm !== 'EdDSA',
);

const workloadFields = z.strictObject({
  ...keySourceFields,
  /** A file with the key set, for issuers that cannot be reached. It is read again when it changes. */
  jwks_file: z.string().min(1).max(4096).optional(),
  /** Default: RS256 and ES256; for a SPIFFE trust domain all that SPIFFE knows. */
  algorithms: algorithms.optional(),
});

/**
 * Settings for an issuer of workload tokens. An issuer that a trust rule names needs none if discovery works. For
 * SPIFFE `issuer` is the trust domain, such as `spiffe://example.org`.
 */
export const workloadIssuerSchema = workloadFields.superRefine(checkWorkloadKeySource);

function checkWorkloadKeySource(value: z.output<typeof workloadFields>, context: z.RefinementCtx): void {
  const fault = (path: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [path], message });
  if (value.jwks_uri !== undefined && value.jwks_file !== undefined) {
    fault('jwks_file', 'must not stand beside jwks_uri: keys come from one place, so take one of them out');
  }
  if (!isSpiffe(value.issuer)) {
    checkKeySource(value, context);
    return;
  }
  if (!isTrustDomain(value.issuer)) {
    fault('issuer', 'must be spiffe:// and the name of a trust domain in lower case, without a path');
  }
  if (value.jwks_uri === undefined && value.jwks_file === undefined) {
    fault(
      'jwks_file',
      'or jwks_uri must say where the bundle of the trust domain is, since it has no discovery',
    );
  }
  if (value.algorithms?.some((algorithm) => !SPIFFE_ALGORITHMS.includes(algorithm))) {
    fault('algorithms', `must be some of ${SPIFFE_ALGORITHMS.join(', ')}, as SPIFFE demands`);
  }
  checkKeySource({ ...value, issuer: undefined }, context);
}

/** The signature algorithms that are accepted from an issuer of workload tokens. */
export function algorithmsOf({ issuer, algorithms: configured }: WorkloadIssuer): readonly string[] {
  return configured ?? (isTrustDomain(issuer) ? SPIFFE_ALGORITHMS : ['RS256', 'ES256']);
}

/** A person issuer, as configured. */
export type IssuerConfig = z.infer<typeof issuerConfigSchema>;

/** A workload issuer, as configured. */
export type WorkloadIssuer = z.infer<typeof workloadIssuerSchema>;

/** The level from which on a sign-in counts as one with two factors. */
export const MFA_LEVEL = 2;

/** The `acr` values of an issuer that stand for at least this level, strongest first. */
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
