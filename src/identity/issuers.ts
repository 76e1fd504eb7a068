import { z } from 'zod';

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
  value: { issuer: string; jwks_uri?: string | undefined; allow_insecure_loopback: boolean },
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
    /** Strength of a sign-in: the highest level that the `acr` or one of the `amr` stands for, else 0. */
    levels: z
      .strictObject({
        acr: z.record(z.string(), level).default({}),
        amr: z.record(z.string(), level).default({}),
      })
      .prefault({}),
  })
  .superRefine(checkKeySource);

/** Settings for an issuer of workload tokens. An issuer that a trust rule names needs none if discovery works. */
export const workloadIssuerSchema = z
  .strictObject({ ...keySourceFields, algorithms: algorithms.default(['RS256', 'ES256']) })
  .superRefine(checkKeySource);

/** A person issuer, as configured. */
export type IssuerConfig = z.infer<typeof issuerConfigSchema>;

/** A workload issuer, as configured. */
export type WorkloadIssuer = z.infer<typeof workloadIssuerSchema>;
