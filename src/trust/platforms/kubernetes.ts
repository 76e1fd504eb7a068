import { idFaults, type Platform, UUID } from './platform.ts';

const UID = '/kubernetes.io/serviceaccount/uid';

/** The flat claim names of tokens from Secrets, which have no expiry and no audience. */
const LEGACY = 'kubernetes.io/';

/**
 * Kubernetes projected tokens (TokenRequest). A service account that is recreated under its old name gets another uid,
 * so rules pin the uid. Tokens from Secrets never expire and are refused.
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
          `claims.${claim} belongs to tokens from Secrets, which never expire: use a pointer such as ${UID}, and a projected token`,
      ),
  ],
  misses: (_rule, claims) => {
    const legacy = Object.keys(claims).find((claim) => claim.startsWith(LEGACY));
    return legacy === undefined
      ? []
      : [
          {
            claim: legacy,
            wanted: ['a projected token, without this claim'],
            has: 'a token from a Secret',
          },
        ];
  },
};
