import { BrokerError } from '../errors.ts';
import { LEEWAY_S, MAX_TOKEN_AGE_S } from '../identity/verify-token.ts';
import { RETIREMENT_OVERLAP_MS } from '../keys/signing-keys.ts';
import { canonicalPerson, PERSON_FAULTS } from '../person-name.ts';
import type { InputRevocation } from '../policy/input.ts';
import { resolvePerson } from '../policy/persons.ts';
import type { Policy } from '../policy/policies.ts';
import { isPrincipalId, type Principal } from '../principal.ts';
import { listPrincipals } from '../store/principals.ts';
import { findBrowserSessionById } from '../store/sessions.ts';
import { listSigningKeys } from '../store/signing-keys.ts';
import type { Db } from '../store/statement.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';
import type { RevocationOrder } from './add.ts';
import { CLASSES } from './classes.ts';

/** The context that an order is checked against. */
export interface OrderChecks {
  policy: Policy;
  caller: Principal;
  now_ms: number;
  /** The broker's public URL: the `iss` of its own tokens. */
  issuer: string;
  /** The `iss` of each issuer of persons. */
  personIssuers: readonly string[];
}

/** The maximum age of accepted tokens of other issuers. */
const LONGEST_TOKEN_MS = (MAX_TOKEN_AGE_S + LEEWAY_S) * 1000;

/** The form of a JWT. A JWT is secret, so it is refused before anything is recorded. */
export const LOOKS_LIKE_A_TOKEN = /[\w-]{10,}\.[\w-]{10,}\.[\w-]*$/;

/**
 * Converts the body to an order, with the value in the canonical form that callers are compared with.
 *
 * @throws BrokerError `not_found` for an unknown value, with the nearest known one; `invalid_request` for a time in the future; for
 *   a revocation that would lock out its own author permanently
 */
export async function toOrder(db: Db, asked: InputRevocation, checks: OrderChecks): Promise<RevocationOrder> {
  const { now_ms } = checks;
  if (asked.issued_before_ms !== null && asked.issued_before_ms > now_ms) {
    refuse(
      'issued_before_ms',
      'must not be in the future: anyone who signs in after a revocation has access again',
    );
  }
  const order = { ...asked, cause: 'incident', expires_ms: null } as const;
  switch (asked.kind) {
    case 'token':
      return { ...order, expires_ms: expiryOfToken(asked.value, checks) };
    case 'session':
      return orderSession(db, order, checks);
    case 'subject':
      return { ...order, value: subjectName(checks.policy, asked.value) };
    case 'trust_rule':
      await assertRule(db, asked.value, checks.policy);
      return order;
    case 'issuer':
      assertIssuer(asked, checks);
      return order;
    case 'class':
      if (!CLASSES.includes(asked.value)) refuseUnknown('class', asked.value, CLASSES);
      // Without a time, nobody in the class could ever sign in again.
      return { ...order, issued_before_ms: asked.issued_before_ms ?? now_ms };
    case 'key':
      await assertKey(db, asked.value);
      return order;
  }
}

/**
 * The canonical name of a subject: a principal's id unchanged; a person's sign-in name in canonical form.
 *
 * @throws BrokerError `invalid_request` for a value that is not the name of a person
 */
export function subjectName(policy: Policy, value: string): string {
  if (isPrincipalId(value)) return value;
  const canonical = canonicalPerson(value);
  if ('fault' in canonical) {
    return refuse('value', `is not the name of a person: it ${PERSON_FAULTS[canonical.fault]}`);
  }
  return resolvePerson(policy, canonical.person);
}

/** The latest possible expiry of a token that is not known here. */
function expiryOfToken(value: string, checks: OrderChecks): number {
  const [, issuer] = /^(.+)#(?:jti|sha256):.+$/.exec(value) ?? [];
  if (issuer === undefined) refuse('value', 'must be <issuer>#jti:<jti> or <issuer>#sha256:<hash>');
  assertKnownIssuer(issuer, checks);
  return checks.now_ms + (issuer === checks.issuer ? RETIREMENT_OVERLAP_MS : LONGEST_TOKEN_MS);
}

async function orderSession(db: Db, order: RevocationOrder, checks: OrderChecks): Promise<RevocationOrder> {
  const { value } = order;
  const [, issuer] = /^([^#]+)#.+$/.exec(value) ?? [];
  if (issuer !== undefined) {
    assertKnownIssuer(issuer, checks);
    return order;
  }
  const id = value.replace(/^session:/, '');
  const row = await findBrowserSessionById(db, id);
  if (row === undefined) {
    const more = 'Name session:<id>, or <issuer>#<sid> of a session at the provider.';
    throw unknownName({ what: 'session', name: value, pointer: '#/value', more });
  }
  return { ...order, value: `session:${id}`, expires_ms: row.expires_ms };
}

/** Rules that the policy no longer has are accepted too: applications may hold tokens that were issued under them. */
async function assertRule(db: Db, rule: string, policy: Policy): Promise<void> {
  const present = Object.keys(trustRulesOf(policy));
  if (present.includes(rule)) return;
  const seen = (await listPrincipals(db)).map(
    ({ principal }) => (JSON.parse(principal) as Principal).token.trust_rule,
  );
  if (!seen.includes(rule)) refuseUnknown('trust rule', rule, present);
}

/** Refuses a misspelt issuer: the revocation would be listed, but the issuer's tokens would still be accepted. */
function assertKnownIssuer(value: string, { issuer, personIssuers, policy }: OrderChecks): void {
  const ofRules = Object.values(trustRulesOf(policy)).map((rule) => rule.issuer);
  const known = [...new Set([issuer, ...personIssuers, ...ofRules])];
  if (!known.includes(value)) refuseUnknown('issuer', value, known);
}

function assertIssuer({ value, issued_before_ms }: InputRevocation, checks: OrderChecks): void {
  assertKnownIssuer(value, checks);
  if (value === checks.caller.issuer && issued_before_ms === null) {
    refuse(
      'value',
      'is your own issuer, so you could never lift this. Set issued_before_ms, or ask a person of another issuer ' +
        'to revoke it. To stop trusting the issuer, remove it from the configuration',
    );
  }
}

async function assertKey(db: Db, kid: string): Promise<void> {
  const kids = (await listSigningKeys(db)).map((key) => key.kid);
  if (!kids.includes(kid)) refuseUnknown('signing key', kid, kids);
}

/** Told to those who may revoke, who may know every name. */
function refuseUnknown(what: string, value: string, known: readonly string[]): never {
  const more = known.length === 0 ? 'There are none.' : 'Nothing was revoked.';
  throw unknownName({ what, name: value, pointer: '#/value', nearest: nearestOf(value, known), more });
}

function refuse(member: string, detail: string): never {
  throw new BrokerError(
    'invalid_request',
    `The revocation is invalid: ${member} ${detail}`.replace(/[^.]$/, '$&.'),
    {
      errors: [{ pointer: `#/${member}`, detail }],
    },
  );
}
