import { idFaults, type Platform, UUID } from './platform.ts';

const UID = '/kubernetes.io/serviceaccount/uid';

/** How the claims of tokens from Secrets are spelt: flat, without end and without audience. */
const LEGACY = 'kubernetes.io/';

/**
 * Kubernetes projected tokens (TokenRequest). A service account that is made again under its old name has another uid,
 * so the uid is pinned. Tokens from Secrets live for ever and are refused.
 *
 * @see kubernetes.io, "Managing Service Accounts"
 */
export const kubernetes: Platform = {
  name: 'kubernetes',
  isIssuer: (issuer) => /^kubernetes\.default\.svc(?:\..+)?$/.test(new URL(issuer).hostname),
  ownClaims: /^\/?kubernetes\.io(?:\/|$)/,
  faults: (rule) => [
    ...idFaults(rule, UID, {
      form: UUID,
      hint: 'the uid of the service account (kubectl get serviceaccount NAME -o jsonpath={.metadata.uid})',
    }),
    ...Object.keys(rule.claims)
      .filter((claim) => claim.startsWith(LEGACY))
      .map(
        (claim) =>
          `claims.${claim} is of tokens from Secrets, which never end: write a pointer such as ${UID}, and project the token`,
      ),
  ],
  misses: (_rule, claims) => {
    const legacy = Object.keys(claims).find((claim) => claim.startsWith(LEGACY));
    return legacy === undefined
      ? []
      : [
          {
            claim: legacy,
            wanted: ['a projected token, which has no such claim'],
            has: 'a token from a Secret',
          },
        ];
  },
};
