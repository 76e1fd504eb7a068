import { TokenRefused } from '../identity/refusal.ts';
import { type TokenForm, tokenTypeOf, typeRefused } from '../identity/token-form.ts';
import { type VerifiedClaims, verifyToken } from '../identity/verify-token.ts';
import type { IssuerConfig } from '../issuers/issuers.ts';
import type { SubjectDeps } from './subject.ts';

/** The verified ID token of a person. Its audience is not looked at yet: `personPrincipal` does. */
export interface PersonToken {
  issuer: IssuerConfig;
  type: 'jwt';
  claims: VerifiedClaims;
}

/**
 * Verifies a token as the ID token of a person: type, signature and times, by the keys of an issuer of persons that is not
 * withdrawn.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function verifyPersonToken(
  { personIssuers, keySets, clock }: SubjectDeps,
  token: string,
  form: TokenForm,
): Promise<PersonToken> {
  const issuer = personIssuers.find((config) => config.issuer === form.unverified.iss);
  if (issuer === undefined) throw new TokenRefused('issuer_not_accepted');
  const type = tokenTypeOf(form.header.typ);
  if (type !== 'jwt') throw typeRefused(form.header.typ);
  const { algorithms } = issuer;
  const keys = keySets.keysOf(issuer);
  const claims = await verifyToken(token, form, { issuer: issuer.issuer, algorithms, keys, clock });
  await keySets.assertNotWithdrawn(issuer);
  return { issuer, type, claims };
}
