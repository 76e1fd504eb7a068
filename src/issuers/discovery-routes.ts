import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { anyQuery, PUBLIC, PUBLISHED } from '../http/route.ts';
import { acrValuesOf, type IssuerConfig, MFA_LEVEL } from './issuers.ts';

/** The data that a client needs to sign a person in. */
const loginIssuerSchema = z
  .object({
    key: z.string().meta({ description: "The issuer's key in principal ids." }),
    issuer: z.string(),
    client_id: z.string(),
    scope: z.string(),
    mfa_acr_values: z.array(z.string()).meta({
      description: 'The `acr` values that stand for two factors or more, strongest first; may be empty.',
    }),
    redirect_port: z.int().optional().meta({
      description: 'The only port of the redirect URI `http://127.0.0.1:<port>/cb`. Default: any.',
    }),
    client_secret: z.string().optional().meta({
      description: 'For providers that demand one of native clients. Not a secret: RFC 8252 section 8.5.',
    }),
    max_age_s: z.int().optional().meta({
      description: 'How long the active policy accepts a sign-in, in seconds. Absent: without a limit.',
    }),
  })
  .meta({ id: 'LoginIssuer' });
export type LoginIssuer = z.infer<typeof loginIssuerSchema>;

/** The dependencies of {@link discoveryRoutes}. */
export interface DiscoveryRoutesDeps {
  issuers: readonly IssuerConfig[];
  version: string;
  /** How long the active policy accepts a sign-in, in seconds; null without a limit. */
  signInAgeS: () => Promise<number | null>;
}

const { route } = routesFor<DiscoveryRoutesDeps>({ tag: 'Tokens', format: 'problem', since: '1.0' });

/** Where people sign in, for clients without a token. */
export const discoveryRoutes = [
  route({
    name: 'getDiscovery',
    operation: null,
    method: 'GET',
    path: '/.well-known/countersign',
    summary: 'where people sign in',
    caller: null,
    outcomes: PUBLIC,
    query: anyQuery,
    success: 200,
    answer: z.object({
      issuers: z.array(loginIssuerSchema),
      version: z.string().meta({ description: 'The version of the broker.' }),
    }),
    handle: async ({ issuers, version, signInAgeS }) => {
      const max_age_s = await signInAgeS();
      const shown = issuers.map((issuer) => ({
        ...toLoginIssuer(issuer),
        ...(max_age_s === null ? {} : { max_age_s }),
      }));
      return { body: { issuers: shown, version }, headers: PUBLISHED };
    },
  }),
];

/** The public data of a configured issuer. */
export function toLoginIssuer(config: IssuerConfig): LoginIssuer {
  const { key, issuer, audience, login } = config;
  return {
    key,
    issuer,
    // The schema ensures that an issuer's `audience` is never empty.
    client_id: login?.client_id ?? audience[0] ?? '',
    scope: login?.scope ?? 'openid',
    mfa_acr_values: acrValuesOf(config, MFA_LEVEL),
    ...(login?.redirect_port === undefined ? {} : { redirect_port: login.redirect_port }),
    ...(login?.client_secret === undefined ? {} : { client_secret: login.client_secret }),
  };
}
