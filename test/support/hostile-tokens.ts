import { createPrivateKey, createSecretKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { githubJob } from '../../fixtures/identity/platforms/github.ts';
import { jwtSvid } from '../../fixtures/identity/platforms/spiffe.ts';
import { createMasterKey } from '../../src/keys/master-key.ts';
import { sealedKeyUse } from '../../src/keys/signing-keys.ts';
import { createLog } from '../../src/logger.ts';
import { listSigningKeys } from '../../src/store/signing-keys.ts';
import {
  createEs256Key,
  createRsaKey,
  forge,
  keySetAnswer,
  startIssuer,
  startServer,
  type TestIssuer,
  type TestKey,
} from '../identity/support.ts';
import { startTestBroker, type TestBroker } from './broker.ts';
import { createProofKey, type ProofKey } from './dpop.ts';
import { createFlag } from './flags.ts';

/*
 * A broker, and the real key of every issuer that it trusts, its own among them: so a hostile token is wrong in one thing,
 * and right in everything else.
 */

/** Members of a header or a payload; undefined takes one away. */
export type Members = Record<string, unknown>;

/** A kind of token as it is when nothing is wrong with it. */
export interface Kind {
  key: TestKey;
  header: Members;
  claims(): Members;
}

/** The kinds of tokens that there are. `sponsor` is an ID token that lets the agent act. */
export type KindName =
  | 'id_token'
  | 'sponsor'
  | 'access_token'
  | 'issued'
  | 'data'
  | 'audit'
  | 'bound'
  | 'bound_data'
  | 'delegation'
  | 'platform'
  | 'agent_job'
  | 'svid'
  | 'logout_token';

/** A line of the broker's log. */
export type Line = Record<string, unknown> & { msg: string };

/** The broker with all keys. */
export interface HostileBench {
  t: TestBroker;
  kinds: Readonly<Record<KindName, Kind>>;
  people: TestIssuer;
  /** Another provider of people, whose keys and subjects are its own. */
  others: TestIssuer;
  /** The key that the DPoP tokens are bound to, and one of somebody else. */
  proofKey: ProofKey;
  strangerProofKey: ProofKey;
  /** A server that nothing trusts and nobody may ask. */
  canary: Awaited<ReturnType<typeof startServer>>;
  /** What the broker has logged. */
  lines: Line[];
  /** Another key of the same type, under the same name. */
  impostorOf(kind: Kind): TestKey;
  nowS(): number;
  close(): Promise<void>;
}

/** The client of the broker at {@link HostileBench.people}, which logout tokens are for. */
const WEB_CLIENT = 'countersign-web';
const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const TRUST_DOMAIN = 'spiffe://acme.example';
const AGENT_JOB = { repository: 'acme/release-agent', repository_id: '456791' };

/** The flag that valid calls propose to switch on. */
export const FLAG = 'hostile.flag';

/** Starts everything. */
export async function startHostileBench(): Promise<HostileBench> {
  const lines: Line[] = [];
  const log = createLog('trace', { write: (line: string) => lines.push(JSON.parse(line)) });
  const keys = { platform: createRsaKey('platform-key'), svid: createEs256Key('svid-key') };
  keys.svid.publicJwk.use = 'jwt-svid';
  const [people, others, platform, trustDomain, canary] = await Promise.all([
    startIssuer({
      key: 'idp',
      audience: ['countersign-cli', WEB_CLIENT],
      algorithms: ['ES256'],
      token_types: ['id_token', 'access_token'],
      claims: { person: 'employee_id' },
      web: { client_id: WEB_CLIENT },
    }),
    startIssuer({ key: 'others', algorithms: ['ES256'], disjoint: true }),
    startServer(keySetAnswer(keys.platform)),
    startServer(keySetAnswer(keys.svid)),
    startServer(keySetAnswer(createEs256Key('issuer-key'))),
  ]);
  const source = (issuer: string, origin: string) => ({
    issuer,
    jwks_uri: `${origin}/jwks`,
    allow_insecure_loopback: true,
  });
  const t = await startTestBroker({
    log,
    editData: (data, trusted) => withIssuers(data, trusted, { people, platform }),
    config: (defaults) => ({
      issuers: [...(defaults.issuers as object[]), people.config, others.config],
      workload_issuers: [source(platform.origin, platform.origin), source(TRUST_DOMAIN, trustDomain.origin)],
    }),
  });
  await createFlag(t, FLAG);
  const [proofKey, strangerProofKey] = await Promise.all([createProofKey(t.clock), createProofKey(t.clock)]);
  const own = await ownKey(t);
  const nowS = (): number => Math.floor(t.clock() / 1000);
  const kinds = kindsOf({
    people,
    own,
    keys,
    platform: platform.origin,
    broker: t.url,
    jkt: proofKey.jkt,
    nowS,
  });
  const impostors = new Map([
    ['ec', createEs256Key('')],
    ['rsa', createRsaKey('')],
    ['ed25519', createEd25519Key('')],
  ]);
  return {
    t,
    kinds,
    people,
    others,
    proofKey,
    strangerProofKey,
    canary,
    lines,
    nowS,
    impostorOf: ({ key }) => {
      const impostor = impostors.get(key.privateKey.asymmetricKeyType ?? '');
      if (impostor === undefined) throw new Error('there is no such type of keys');
      return { ...impostor, kid: key.kid };
    },
    close: async () => {
      await t.close();
      await Promise.all(
        [people.server, others.server, platform, trustDomain, canary].map(({ close }) => close()),
      );
    },
  };
}

/** Signs a token of a kind, with changes. */
export function mint(kind: Kind, claims: Members = {}, header: Members = {}, key = kind.key): string {
  return forge(key, { ...kind.header, ...header }, { ...kind.claims(), ...claims });
}

/** Makes an Ed25519 key. */
function createEd25519Key(kid: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { kid, alg: 'EdDSA', privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), kid } };
}

/** The key that the broker signs its own tokens with: what nobody outside has, who can't read its files. */
async function ownKey(t: TestBroker): Promise<TestKey> {
  const text = (await readFile(join(t.folder, 'countersign.db.master-key'), 'utf8')).trim();
  const master = await createMasterKey(createSecretKey(Buffer.from(text, 'base64url')));
  const [row] = await listSigningKeys(t.broker.store.read);
  if (row === undefined) throw new Error('the broker has no signing key');
  const jwk = JSON.parse(await master.unseal(row.private_jwk, sealedKeyUse(row.kid)));
  return {
    kid: row.kid,
    alg: 'EdDSA',
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
    publicJwk: JSON.parse(row.public_jwk),
  };
}

interface Edited {
  config: {
    role_bindings: { groups: Record<string, unknown> };
    trust_rules: Record<string, Record<string, unknown>>;
  };
}

/** Trusts this people's provider as the shipped one, this platform in its place, and a trust domain beside it. */
function withIssuers(
  data: unknown,
  trusted: { people: string },
  { people, platform }: { people: TestIssuer; platform: { origin: string } },
): unknown {
  const edited = structuredClone(data) as Edited;
  const { role_bindings, trust_rules } = edited.config;
  role_bindings.groups[people.config.issuer] = role_bindings.groups[trusted.people];
  for (const rule of Object.values(trust_rules)) rule.issuer = platform.origin;
  trust_rules['payments-svid'] = {
    ...trust_rules['payments-deploy'],
    issuer: TRUST_DOMAIN,
    claims: { sub: `${TRUST_DOMAIN}/ns/payments/sa/deploy` },
    person: undefined,
  };
  return JSON.parse(JSON.stringify(edited));
}

interface KindParts {
  people: TestIssuer;
  own: TestKey;
  keys: { platform: TestKey; svid: TestKey };
  platform: string;
  broker: string;
  jkt: string;
  nowS: () => number;
}

function kindsOf(parts: KindParts): Record<KindName, Kind> {
  const { people, own, keys, platform, broker, jkt, nowS } = parts;
  const times = () => ({ iat: nowS(), exp: nowS() + 300, jti: randomUUID() });
  const kind = (key: TestKey, typ: string | undefined, claims: () => Members): Kind => ({
    key,
    header: { alg: key.alg, kid: key.kid, typ },
    claims,
  });
  const { issuer } = people.config;
  const idToken = () => ({
    iss: issuer,
    sub: 'dana',
    aud: 'countersign-cli',
    ...times(),
    employee_id: 'emp-1001',
    groups: ['payments-developers', 'auditors'],
  });
  const job = (overrides: Members = {}) => githubJob({ issuer: platform, nowS: nowS() }, overrides);
  const issued = () => ({
    iss: broker,
    aud: 'control',
    sub: `workload:payments-deploy:${job().sub}`,
    client_id: 'payments-deploy',
    ...times(),
    scope: 'request.propose request.read',
    policy_hash: `sha256:${'0'.repeat(64)}`,
    trust_rule: 'payments-deploy',
    subject_issuer: platform,
    claims: {},
    person: 'github:5001',
  });
  const data = () => ({ ...issued(), aud: 'data:production', scope: '', namespaces: ['payments'] });
  const origin = { issuer, token_id: 'jti:1', kid: null, session: null, issued_ms: nowS() * 1000 };
  return {
    id_token: kind(people.key, undefined, idToken),
    sponsor: kind(people.key, undefined, () => ({
      ...idToken(),
      may_act: { iss: platform, sub: job(AGENT_JOB).sub },
    })),
    access_token: kind(people.key, 'at+jwt', () => ({ ...idToken(), client_id: 'cli' })),
    issued: kind(own, 'at+jwt', issued),
    data: kind(own, 'at+jwt', data),
    audit: kind(own, 'at+jwt', () => ({ ...issued(), aud: 'audit', scope: 'decision.read' })),
    bound: kind(own, 'at+jwt', () => ({ ...issued(), cnf: { jkt } })),
    bound_data: kind(own, 'at+jwt', () => ({ ...data(), cnf: { jkt } })),
    delegation: kind(own, 'delegation+jwt', () => ({
      iss: broker,
      aud: broker,
      sub: 'person:idp:dana',
      ...times(),
      scope: 'request.propose flag.read',
      may_act: { iss: broker, sub: 'release-agent' },
      person: 'emp-1001',
      subject_issuer: issuer,
      groups: ['payments-developers'],
      claims: {},
      origins: [{ ...origin, principal: 'person:idp:dana', kind: 'person' }],
    })),
    platform: kind(keys.platform, 'JWT', () => job()),
    agent_job: kind(keys.platform, 'JWT', () => job(AGENT_JOB)),
    // It has no jti: two of the same claims would be one token, which works once.
    svid: kind(keys.svid, 'JWT', () =>
      jwtSvid({ issuer: TRUST_DOMAIN, nowS: nowS() }, { run: randomUUID() }),
    ),
    logout_token: kind(people.key, 'logout+jwt', () => ({
      iss: issuer,
      aud: WEB_CLIENT,
      ...times(),
      events: { [LOGOUT_EVENT]: {} },
      sid: randomUUID(),
      sub: 'nobody',
    })),
  };
}
