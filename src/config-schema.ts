import { z } from 'zod';
import { isHost, isLogOrigin, isOrigin, isProxy } from './config-addresses.ts';
import { syncListenerSchema } from './data/sync-config.ts';
import { PROXY_HEADERS } from './http/client-address.ts';
import { issuerConfigSchema, workloadIssuerSchema } from './issuers/issuers.ts';
import { bundleKeySchema } from './policy/bundle-keys.ts';
import { isCosigner } from './tree/cosignature.ts';

/**
 * The keys of the configuration. The rules for flags are not here but in the policy bundle, under the policy hash.
 *
 * docs/configuration.md is generated from the descriptions; `fallback` says in words what holds without a key.
 */
export const configSchema = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1').meta({ description: 'the address to listen on' }),
      port: z.coerce
        .number()
        .int()
        .min(0)
        .max(65535)
        .default(8480)
        .meta({ description: 'the port; 0 takes a free one' }),
    })
    .prefault({}),
  public_url: z
    .url({ protocol: /^https?$/ })
    .refine(isOrigin, 'must have no path, query or credentials: use a dedicated host name for the broker')
    .transform((url) => new URL(url).origin)
    .optional()
    .meta({
      description:
        'how others reach the broker, without a path: the `iss` of its tokens. Must be https, except on this machine',
      fallback: 'where it listens',
    }),
  hosts: z
    .array(z.string().refine(isHost, 'must be a host name or an address, such as countersign.internal:8480'))
    .default([])
    .meta({
      description: 'other hosts that the broker serves, with a port or for any port; see [Hosts](#hosts)',
    }),
  database: z.string().min(1).default('countersign.db').meta({
    description:
      'the SQLite file, created on the first start. Its folder must exist; only the owner can read the file. Or the address of a database on a PostgreSQL server: `postgres://user@host/name`',
  }),
  database_file: z.string().min(1).optional().meta({
    description:
      'a file that holds the address of the database, if it has a password; takes the place of `database`',
  }),
  policy_bundle: z.string().min(1).optional().meta({
    description:
      'the bundle that the first start activates: a `tar.gz`, or a folder laid out like one. Later starts only compare it',
    fallback: 'required for the first start',
  }),
  bundle_keys: z
    .array(bundleKeySchema)
    .refine(isEachOnce('kid'), 'must have unique kids: a signature names its key by it')
    .default([]),
  master_key_file: z.string().min(1).optional().meta({
    description: 'the file with the key that opens the secrets in the database',
    fallback: '`<database>.master-key`',
  }),
  previous_master_key_file: z.string().min(1).optional().meta({
    description:
      'the file with the key before the last rotation; secrets sealed under it are resealed at the next start',
  }),
  signing_key_days: z.coerce
    .number()
    .int()
    .min(0)
    .default(30)
    .meta({ description: 'after so many days the broker signs with a new key; 0 for never' }),
  log_origin: z
    .string()
    .max(200)
    .refine(isLogOrigin, 'must be like a URL without a scheme, such as flags.example.com/log')
    .optional()
    .meta({
      description:
        'the name of the decision log in its checkpoints, before a number that each confirmed restore raises. The log keeps the name of its first start',
      fallback: 'the host of `public_url`, and the beginning of the installation’s id',
    }),
  published_log: z.array(z.string().min(1).max(2000)).default([]).meta({
    description:
      'folders and addresses where the decision log is [published](decision-log.md#publishing-the-log). The broker compares itself with the checkpoint there, at its start and every ten minutes: a disk that was restored whole [is noticed](operations.md#a-restored-copy-of-the-database) only so',
  }),
  witnesses: z
    .array(
      z.strictObject({
        url: z.url({ protocol: /^https?$/ }).meta({ description: 'its address, before `/add-checkpoint`' }),
        key: z
          .string()
          .refine(isCosigner, 'It must be the key that `countersign witness` prints.')
          .meta({ description: 'its key for cosignatures, `<name>+<id>+<base64>`' }),
      }),
    )
    .max(20)
    .default([]),
  witness_quorum: z.coerce.number().int().min(1).max(20).optional().meta({
    description: 'how many witnesses must cosign a checkpoint until it counts as cosigned',
    fallback: 'more than half of them',
  }),
  log_level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .meta({ description: '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`' }),
  calls_per_minute: z.coerce.number().int().min(0).default(600).meta({
    description:
      'calls that a principal may make to the control and audit plane, and as many freezes, revocations and break-glass calls besides; 0 sets no limit',
  }),
  attempts_per_minute: z.coerce.number().int().min(0).default(300).meta({
    description:
      'attempts of an address (IPv6: of a /64) without a valid identity, and all at `/oauth` and `/auth`; 0 sets no limit',
  }),
  trusted_proxies: z
    .array(z.string().refine(isProxy, 'must be an IP address, or a network such as 10.0.0.0/8'))
    .default([])
    .meta({ description: 'addresses and networks of proxies that say whose address a request comes from' }),
  proxy_header: z.enum(PROXY_HEADERS).default('X-Forwarded-For').meta({
    description:
      'the header that they write: `X-Forwarded-For` or `Forwarded` (RFC 7239); the other one is ignored',
  }),
  issuers: z
    .array(issuerConfigSchema)
    .refine(isEachOnce('key'), 'must have unique keys: the key names the issuer in the ids of people')
    .refine(isEachOnce('issuer'), 'must have unique issuers: put their clients into one `audience`')
    .default([]),
  sessions: z
    .strictObject({
      idle_minutes: z.coerce
        .number()
        .int()
        .min(1)
        .max(1440)
        .default(30)
        .meta({ description: 'how long a browser session lasts without a request' }),
      absolute_hours: z.coerce
        .number()
        .int()
        .min(1)
        .max(168)
        .default(12)
        .meta({ description: 'how long a browser session lasts at most' }),
    })
    .prefault({}),
  evaluations: z
    .strictObject({
      interval_seconds: z.coerce.number().int().min(0).max(3600).default(60).meta({
        description:
          'after how many seconds it is [recorded](decision-log.md#recorded-evaluations) who evaluated which flag, counted; 0 for never. A crash loses the counts of this time at most',
      }),
      in_full: z
        .strictObject({
          flags: z
            .array(z.string().min(1))
            .default([])
            .meta({ description: 'flags of which each evaluation is recorded with its time' }),
          namespaces: z
            .array(z.string().min(1))
            .default([])
            .meta({ description: 'the same for all flags of a namespace; `*` for all' }),
        })
        .prefault({}),
    })
    .prefault({}),
  snapshots: z
    .strictObject({
      environments: z.array(z.string().min(1).max(200)).default([]).meta({
        description:
          'environments whose flags are [published as snapshots](snapshots.md), for relays and caches; `*` for all. Each version that is published is a record of the log',
      }),
      pointer_seconds: z.coerce.number().int().min(10).max(86_400).default(300).meta({
        description:
          'for how many seconds a reader may believe that a snapshot is the newest one; the broker signs again at half of it',
      }),
      readers_days: z.coerce.number().int().min(1).max(90).default(7).meta({
        description:
          'for how many days a [relay](snapshots.md#who-reads-at-a-relay) goes on by the last list of readers while it does not reach the broker',
      }),
    })
    .prefault({}),
  flagd_sync: z
    .array(syncListenerSchema)
    .max(20)
    .refine(isEachOnce('listen'), 'must have unique addresses')
    .default([]),
  retention: z
    .strictObject({
      archive_folder: z.string().min(1).optional().meta({
        description:
          'the folder of the [archives](operations.md#old-inputs-and-counts) that inputs of old decisions are in',
      }),
      inputs_days: z.coerce.number().int().min(1).optional().meta({
        description: 'after so many days the broker moves the inputs of decisions to an archive',
        fallback: 'never',
      }),
      evaluations_days: z.coerce.number().int().min(1).optional().meta({
        description:
          'after so many days it deletes the rows of [recorded evaluations](decision-log.md#recorded-evaluations)',
        fallback: 'never',
      }),
    })
    .prefault({}),
  provisioning: z
    .strictObject({
      attribute: z.enum(['userName', 'externalId']).default('externalId').meta({
        description:
          'which SCIM attribute names the person, or `userName` ([deprovisioning](revocation.md#deprovisioning-scim-20))',
      }),
      prefix: z
        .string()
        .max(100)
        .default('')
        .meta({ description: "what precedes it in the broker's name of the person" }),
    })
    .prefault({}),
  workload_issuers: z
    .array(workloadIssuerSchema)
    .refine(isEachOnce('issuer'), 'must have unique issuers: put all settings of an issuer into one entry')
    .default([]),
});

/** Environment variables, with the path that each overrides. */
export const VARIABLES: Readonly<Record<string, readonly string[]>> = {
  COUNTERSIGN_HOST: ['listen', 'host'],
  COUNTERSIGN_PORT: ['listen', 'port'],
  COUNTERSIGN_PUBLIC_URL: ['public_url'],
  COUNTERSIGN_DATABASE: ['database'],
  COUNTERSIGN_POLICY_BUNDLE: ['policy_bundle'],
  COUNTERSIGN_LOG_LEVEL: ['log_level'],
  COUNTERSIGN_CALLS_PER_MINUTE: ['calls_per_minute'],
  COUNTERSIGN_ATTEMPTS_PER_MINUTE: ['attempts_per_minute'],
};

/** True for a list without duplicate values of `member`. */
function isEachOnce<Member extends string>(
  member: Member,
): (entries: readonly Readonly<Record<Member, string>>[]) => boolean {
  return (entries) => new Set(entries.map((entry) => entry[member])).size === entries.length;
}
