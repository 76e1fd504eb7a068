import type { Principal } from '../principal.ts';

/** What a caller showed to be who they are, as far as revocation is concerned. Nothing here is secret. */
export interface Credential {
  /** The `iss` of the token; for a session the issuer that the person signed in at. */
  issuer: string;
  /** `jti:…` or `sha256:…` ({@link tokenIdOf}); `session:<id>` for a browser session. */
  token_id: string;
  /** The key that signed the token, when it is the broker's own; null otherwise. */
  kid: string | null;
  issued_ms: number;
  expires_ms: number;
  /** The session at the provider that it belongs to ({@link nameAtIssuer}), or null. */
  session: string | null;
  /** The proof that came with it, when the token is bound to a key; null for a bearer token and for a session. */
  proof: Proof | null;
  /** For what the broker issued: the credentials that it was issued for. What revokes one of them revokes this too. */
  origins?: readonly CredentialOrigin[];
}

/**
 * What names a token or a provider's session among those of all issuers, as revocations have it: `<issuer>#<name>`.
 *
 * @param name what its issuer calls it: {@link Credential.token_id}, or the `sid`
 */
export function nameAtIssuer(issuer: string, name: string): string {
  return `${issuer}#${name}`;
}

/** A credential that another one was issued for, and who showed it. Nothing here is secret. */
export interface CredentialOrigin
  extends Pick<Credential, 'issuer' | 'token_id' | 'kid' | 'session' | 'issued_ms'> {
  /** The principal's id. */
  principal: string;
  kind: 'person' | 'workload';
  /** The CI run of a job, where its token names one. */
  ci_run?: string | undefined;
}

/**
 * The algorithms that a DPoP proof may be signed with. `EdDSA` and `Ed25519` are two names of one: RFC 9864 gave it the
 * second, and clients send either.
 */
export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const;

/** A DPoP proof that was accepted: it works once. @see RFC 9449 section 11.1 */
export interface Proof {
  /** Thumbprint of the key. */
  jkt: string;
  jti: string;
  /** When it would not be accepted any more, by a clock that may be set back a little. */
  expires_ms: number;
}

/** The CI run that a job's claims name, or undefined. */
export function ciRunOf({
  run_id,
  pipeline_id,
  build_number,
  job_id,
}: Principal['claims']): string | undefined {
  // At Buildkite a pipeline has one id for all of its builds.
  const run = run_id ?? (build_number === undefined ? pipeline_id : job_id);
  return run === undefined ? undefined : String(run);
}

/** Who is calling, and by what. */
export interface Caller {
  principal: Principal;
  credential: Credential;
}

/** Who a verified token stands for. */
export interface VerifiedToken extends Caller {
  /** The namespaces whose flags the token reads, `*` for all; none for a token that reads no flags. */
  namespaces: readonly string[];
  /** Thumbprint of the key that the token is bound to: it counts only with a proof of that key. Null: a bearer token. */
  jkt: string | null;
}

/** What a request shows of who is calling. Nothing here is verified. */
export interface RequestCredentials {
  authorization: string | undefined;
  /** The `DPoP` headers, each as it came: exactly one may be there. */
  dpop: readonly string[];
  cookie: string | undefined;
  method: string;
  /** The path and query as they were asked for. */
  target: string;
  /** `Origin` and `Sec-Fetch-Site`: whether a browser was sent here by another site. */
  origin: string | undefined;
  fetch_site: string | undefined;
}
