import express, { type Router } from 'express';
import { acrValuesOf, type IssuerConfig, MFA_LEVEL } from './issuers.ts';

/** The data that a client needs to sign a person in. */
export interface LoginIssuer {
  /** The issuer's key in principal ids. */
  key: string;
  issuer: string;
  client_id: string;
  scope: string;
  /** The `acr` values that stand for two factors or more, strongest first; may be empty. */
  mfa_acr_values: string[];
}

/** The response of `GET /.well-known/countersign`. */
export interface DiscoveryDocument {
  issuers: LoginIssuer[];
  version: string;
}

/** `GET /.well-known/countersign`: where people sign in, for clients without a token. */
export function discoveryRoutes(deps: { issuers: readonly IssuerConfig[]; version: string }): Router {
  const document: DiscoveryDocument = { issuers: deps.issuers.map(toLoginIssuer), version: deps.version };
  const router = express.Router();
  router.get('/.well-known/countersign', (_request, response) => {
    response.set('Cache-Control', 'public, max-age=60').json(document);
  });
  return router;
}

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
  };
}
