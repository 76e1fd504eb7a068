import type { Principal } from '../principal.ts';

/** A caller's credential, as far as revocation needs it. Nothing here is secret. */
export interface Credential {
  /** The `iss` of the token; for a session the issuer where the person signed in. */
  issuer: string;
  /** `jti:…` or `sha256:…` ({@link tokenIdOf}); `session:<id>` for a browser session. */
  token_id: string;
  /** The key that signed a token of the broker; null for other tokens. */
  kid: string | null;
  /** When it was issued; for a token of a person who signed in before that, when they did. */
  issued_ms: number;
  expires_ms: number;
  /** The session at the provider ({@link nameAtIssuer}), or null. */
  session: string | null;
  /** The proof of a key-bound token; null for a bearer token and for a session. */
  proof: Proof | null;
  /** The only request that the token reads; absent for a token that is not limited to one. */
  only_request?: string;
  /** For a token of the broker: the credentials that it was issued for. Revoking one of them revokes this token too. */
  origins?: readonly CredentialOrigin[];
}

/**
 * The globally unique name of a token or of a provider's session, as used by revocations: `<issuer>#<name>`.
 *
 * @param name the name at the issuer: {@link Credential.token_id}, or the `sid`
 */
export function nameAtIssuer(issuer: string, name: string): string {
  return `${issuer}#${name}`;
}

/** A credential that another one was issued for, and its holder. Nothing here is secret. */
export interface CredentialOrigin
  extends Pick<Credential, 'issuer' | 'token_id' | 'kid' | 'session' | 'issued_ms'> {
  /** The principal's id. */
  principal: string;
  kind: 'person' | 'workload';
  /** The CI run of a job, if its token names one. */
  ci_run?: string | undefined;
}

/**
 * The accepted algorithms of DPoP proofs. `EdDSA` and `Ed25519` name the same algorithm: RFC 9864 introduced the second
 * name, and clients send either.
 */
export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const;

/** An accepted DPoP proof, which works once. @see RFC 9449 section 11.1 */
export interface Proof {
  /** Thumbprint of the key. */
  jkt: string;
  jti: string;
  /** When it is no longer acceptable, even if the clock is set back within the leeway. */
  expires_ms: number;
}

/** The CI run in a job's claims, or undefined. */
export function ciRunOf({
  run_id,
  pipeline_id,
  build_number,
  job_id,
}: Principal['claims']): string | undefined {
  // At Buildkite, all builds of a pipeline share the pipeline's id.
  const run = run_id ?? (build_number === undefined ? pipeline_id : job_id);
  return run === undefined ? undefined : String(run);
}

/** An authenticated caller and its credential. */
export interface Caller {
  principal: Principal;
  credential: Credential;
}

/** The principal of a verified token. */
export interface VerifiedToken extends Caller {
  /** The namespaces whose flags the token reads, `*` for all; empty for a token that reads no flags. */
  namespaces: readonly string[];
  /** The thumbprint of the key that the token is bound to, which requires a proof; null for a bearer token. */
  jkt: string | null;
}

/** The credentials of a request. Nothing here is verified. */
export interface RequestCredentials {
  authorization: string | undefined;
  /** The raw `DPoP` headers. At most one is allowed. */
  dpop: readonly string[];
  cookie: string | undefined;
  method: string;
  /** The requested path and query. */
  target: string;
  /** `Origin` and `Sec-Fetch-Site`: tell whether another site sent the request. */
  origin: string | undefined;
  fetch_site: string | undefined;
}
