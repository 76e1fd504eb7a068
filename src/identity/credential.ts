import type { Principal } from '../policy/input.ts';

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
  /** The session it belongs to: `<issuer>#<sid>` of the provider's, or null. */
  session: string | null;
  /** The proof that came with it, when the token is bound to a key; null for a bearer token and for a session. */
  proof: Proof | null;
}

/** A DPoP proof that was accepted: it works once. @see RFC 9449 section 11.1 */
export interface Proof {
  /** Thumbprint of the key. */
  jkt: string;
  jti: string;
  /** When it would not be accepted any more. */
  expires_ms: number;
}

/** Who is calling, and by what. */
export interface Caller {
  principal: Principal;
  credential: Credential;
}

/** What a request shows of who is calling. Nothing here is verified. */
export interface Presented {
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
