import { hash, randomUUID } from 'node:crypto';
import {
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { BROKER, createBench, presented, START_MS, START_S, startIssuer } from '../test/identity/support.ts';
import { serve } from './child.ts';

/** From the Authorization header to the principal, in process, beside bare floors. */
export type VerifyPart =
  | 'person_anew'
  | 'person_floor'
  | 'workload_anew'
  | 'workload_floor'
  | 'person_cached'
  | 'workload_cached'
  | 'hash_floor'
  | 'bound_cached'
  | 'proof_floor';

/** Which of them, and for how long. */
export interface VerifyRun {
  part: VerifyPart;
  measureMs: number;
}

/** How many units are prepared, unmeasured, before they are measured. */
const BATCH = 500;

const issuer = await startIssuer();
const { authenticator, signingKeys } = await createBench([issuer.config]);
const proofKeys = await generateKeyPair('ES256', { extractable: true });
const proofJwk = await exportJWK(proofKeys.publicKey);

const workloadClaims = {
  iss: BROKER,
  aud: 'control',
  sub: 'workload:payments-deploy:repo:acme/payments',
  client_id: 'payments-deploy',
  iat: START_S,
  exp: START_S + 600,
  scope: 'request.propose request.read flag.read',
  policy_hash: `sha256:${'0'.repeat(64)}`,
  trust_rule: 'payments-deploy',
  subject_issuer: 'https://ci.example',
  claims: { repository_id: '456789', ref: 'refs/heads/main' },
  person: 'github:5001',
};
const personToken = issuer.token({ employee_id: 'emp-1001' });
const workloadToken = await signingKeys.sign({ ...workloadClaims, jti: randomUUID() });
const boundToken = await signingKeys.sign({
  ...workloadClaims,
  jti: randomUUID(),
  cnf: { jkt: await calculateJwkThumbprint(proofJwk, 'sha256') },
});
const personKey = await importJWK(issuer.key.publicJwk as JWK, 'ES256');
const [ownJwk] = (await signingKeys.jwks()).keys;
const ownKey = await importJWK(ownJwk as JWK, 'EdDSA');
const currentDate = new Date(START_MS);

async function authenticate(token: string): Promise<void> {
  await authenticator.authenticate(presented(`Bearer ${token}`));
}

async function authenticateAnew(token: string): Promise<void> {
  authenticator.invalidate();
  await authenticate(token);
}

/** A proof works once, so each unit has its own. */
async function signProof(): Promise<string> {
  return new SignJWT({
    htm: 'GET',
    htu: `${BROKER}/v1/requests`,
    ath: hash('sha256', boundToken, 'base64url'),
    jti: randomUUID(),
    iat: START_S,
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: proofJwk })
    .sign(proofKeys.privateKey);
}

/** Each part: what a unit needs, made unmeasured, and the unit. */
const units: Record<
  VerifyPart,
  { prepare?: () => Promise<string>; run: (prepared: string) => Promise<unknown> }
> = {
  person_anew: { run: () => authenticateAnew(personToken) },
  person_floor: {
    run: () => jwtVerify(personToken, personKey, { issuer: issuer.config.issuer, currentDate }),
  },
  workload_anew: { run: () => authenticateAnew(workloadToken) },
  workload_floor: { run: () => jwtVerify(workloadToken, ownKey, { issuer: BROKER, currentDate }) },
  person_cached: { run: () => authenticate(personToken) },
  workload_cached: { run: () => authenticate(workloadToken) },
  hash_floor: { run: async () => hash('sha256', workloadToken, 'base64') },
  bound_cached: {
    prepare: signProof,
    run: (proof) => authenticator.authenticate({ ...presented(`DPoP ${boundToken}`), dpop: [proof] }),
  },
  proof_floor: { prepare: signProof, run: (proof) => compactVerify(proof, proofKeys.publicKey) },
};

/** @returns units a second */
async function measure({ part, measureMs }: VerifyRun): Promise<number> {
  const { prepare = async () => '', run } = units[part];
  let count = 0;
  let tookMs = 0;
  // The first batch warms up and does not count.
  for (let batch = 0; tookMs < measureMs; batch += 1) {
    const prepared = await Promise.all(Array.from({ length: BATCH }, prepare));
    const startMs = performance.now();
    for (const unit of prepared) await run(unit);
    if (batch === 0) continue;
    tookMs += performance.now() - startMs;
    count += BATCH;
  }
  return (count * 1000) / tookMs;
}

serve<VerifyRun>({ answer: measure, end: issuer.server.close });
