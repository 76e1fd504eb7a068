import { z } from 'zod';
import { FLAG_KINDS, TIERS } from '../flags/model.ts';
import { keyPattern } from '../flags/names.ts';
import { CAPABILITIES } from '../operations.ts';
import { type Blackout, blackoutSchema, holidaysSchema, minuteOf, windowSchema } from './calendar.ts';
import { stagesSchema } from './stages.ts';

/*
 * The shape of a bundle's data under `data.config`, by folder (docs/policy.md, "Data"). A bundle may leave out any folder
 * but the environments, and have others of its own; a folder with one of these names has its shape. Members that nobody
 * reads are refused here: a misspelled one would silently demand nothing.
 */

const name = z.string().min(1);

/** A number of approvals by role. Zero would look like a requirement and be none. */
const approvals = z.record(
  name,
  z
    .number()
    .refine(
      (count) => Number.isSafeInteger(count) && count >= 1,
      'require at least 1 approval, as a whole number, or leave the role out',
    ),
);

const signIn = z.strictObject({ level: z.int().min(1), max_age_s: z.int().min(1) }).nullable();

/** A log that does not grow is cosigned every five minutes, and a witness may be down for a moment. */
const MIN_COSIGNED_AGE_S = 600;

/** The requirements of a change. */
const rule = z.strictObject({
  approvals,
  ticket: z.boolean(),
  /** A choice: one open window is enough. */
  windows: z.array(name),
  account_approvers: z.boolean(),
  sign_in: signIn,
});

const additional = z.strictObject({ approvals });

const binding = z.strictObject({
  roles: z.array(name).min(1),
  namespaces: z.array(name).min(1),
  environments: z.array(name).min(1),
  organizations: z.array(name).optional(),
});

/** What each value of `by` is bound to: a group, the value of a claim, a rule, or an id. */
const bindings = z.record(name, z.array(binding));

const window = windowSchema
  .extend({
    days: windowSchema.shape.days
      .min(1)
      .refine((days) => new Set(days).size === days.length, 'name each day once'),
  })
  .refine(
    ({ start, end }) => start.hour !== end.hour || start.minute !== end.minute,
    'start and end are the same: for a whole day, write hour 0 to hour 24',
  );

const blackout = blackoutSchema.refine(
  ({ start, end }) => edgeText(start) < edgeText(end),
  'the end is not after the start',
);

/** The edge of a blackout as a text that sorts by time. */
function edgeText({ date, ...at }: Blackout['start']): string {
  return `${date} ${String(minuteOf(at)).padStart(4, '0')}`;
}

/** The values belong to the Rego; these members have a meaning for everybody who reads them. */
const operation = z.looseObject({
  at: z.enum(['request', 'freeze', 'seen', 'somewhere', 'everywhere', 'own', 'none']).optional(),
  audiences: z.array(z.enum(['control', 'audit'])).optional(),
  by: z
    .array(z.enum(['person', 'workload', 'agent', 'broker']))
    .min(1)
    .optional(),
  under_freeze: z.enum(['passes', 'safe_only', 'refused']).optional(),
  shows: z.enum(CAPABILITIES).optional(),
  /** Whether a platform token that yields it works once. What changes something always is. */
  single_use: z.boolean().optional(),
  roles: z.record(name, z.array(name)).optional(),
});

const requestKind = z.strictObject({
  rule,
  stand_ins: z.array(name),
  roles: z.record(name, z.array(name).min(1)),
  persons_only: z.boolean(),
  place: z.enum(['object', 'everywhere']),
  under_freeze: z.enum(['passes', 'refused']),
  held: z.strictObject({ code: name, detail: name }),
  /** Of `person.erase`: how long records have to be kept. */
  retention: z.strictObject({ min_age_s: z.int().min(0) }).optional(),
  /** Of `policy.activate`: how a module has to stand the test of the stage before. */
  promotion: z
    .strictObject({ min_age_s: z.int().min(0), min_decisions: z.int().min(0).max(10_000) })
    .optional(),
});

const tierName = z.enum(TIERS);

/** A key that is one of these names. */
const keyOf = (names: readonly string[]) =>
  z.string().refine((key) => names.includes(key), `use one of ${names.join(', ')}`);

const lifetimes = z.record(name, z.int().min(1));

/** The rules of a tier: by the environment's kind, then movement. */
const tierRules = z.record(name, z.strictObject({ raise: rule, lower: rule }));

/** The schema of each folder of the data. */
export const DATA_FOLDERS = {
  environments: z.record(
    z.string().regex(keyPattern, 'use lower-case letters, digits, dot, underscore and hyphen, at most 100'),
    z.looseObject({ kind: name }),
  ),
  stages: stagesSchema,
  input_version: z.literal([1, 2]),
  zones: z.array(name),
  trust_rules: z.record(name, z.unknown()),
  shared_issuers: z.record(name, z.array(name).min(1)),
  persons: z.record(z.string(), z.string()),
  exposure_order: z.record(
    name,
    z.array(name).refine((names) => new Set(names).size === names.length, 'name each variant once'),
  ),
  limits: z
    .object({
      request_ttl_s: z.int().min(1),
      breakglass_ttl_s: z.int().min(1).optional(),
      breakglass_per_week: z.int().min(0).optional(),
      clock_skew_s: z.int().min(0).optional(),
      organizations_per_request: z.int().min(1).optional(),
    })
    .catchall(z.number().min(0)),
  operations: z.record(name, operation),
  role_bindings: z.strictObject({
    groups: z.record(name, bindings).optional(),
    claims: z.record(name, z.record(name, bindings)).optional(),
    trust_rules: bindings.optional(),
    principals: bindings.optional(),
  }),
  exclusive_roles: z.array(
    z
      .array(name)
      .min(2)
      .refine((roles) => new Set(roles).size === roles.length, 'name each role once'),
  ),
  tiers: z.strictObject({
    informational: tierRules,
    operational: tierRules,
    sensitive: tierRules,
    'high-risk': tierRules,
  }),
  tier_floors: z.record(name, z.record(keyOf([...FLAG_KINDS, '*']), z.record(name, tierName))),
  new_flags: z.strictObject({
    informational: additional,
    operational: additional,
    sensitive: additional,
    'high-risk': additional,
  }),
  exceptions: z.record(keyOf([...TIERS, '*']), z.record(name, additional)),
  cosigned: z.record(
    name,
    z.strictObject({
      max_age_s: z.int().min(MIN_COSIGNED_AGE_S, 'at least 600: an idle log is cosigned every five minutes'),
    }),
  ),
  recent: z.strictObject({ minutes: z.int().min(1).max(1440) }),
  /** The flags whose allowed reads are recorded: those of a tier, and those in a namespace (`*` for all). */
  recorded_reads: z.strictObject({
    tiers: z.array(tierName).optional(),
    namespaces: z.array(name).optional(),
  }),
  windows: z.record(name, window),
  holidays: z.record(name, holidaysSchema),
  blackouts: z.record(name, blackout),
  protected_organizations: z.record(
    name,
    z.string().refine((reason) => reason.trim() !== '', 'write the reason'),
  ),
  tickets: z.strictObject({
    pattern: z.string().regex(/^\^.*\$$/, 'anchor the pattern: begin it with ^ and end it with $'),
  }),
  freeze: z.strictObject({ safe_directions_pass: z.boolean() }),
  request_kinds: z.record(
    name.refine((kind) => kind !== 'flag.change', 'changes of flags are governed by `tiers`'),
    requestKind,
  ),
  token_lifetimes: z.strictObject({
    default: z.int().min(1).optional(),
    operations: lifetimes.optional(),
    audiences: lifetimes.optional(),
    tiers: z.record(keyOf(TIERS), z.int().min(1)).optional(),
    /** How long a person's sign-in is accepted. */
    sign_in: z.int().min(1).optional(),
    /** How long a job can follow its request. */
    follow_up: z.int().min(1).optional(),
  }),
  breakglass: z.strictObject({ sign_in: signIn }),
  /** How candidates for activation are checked (`activation/checks/settings.ts`). */
  checks: z.strictObject({
    backtest_records: z.int().min(0).max(10_000_000).optional(),
    evaluation_ms: z.int().min(1).optional(),
  }),
} satisfies Readonly<Record<string, z.ZodType>>;

/** The folders of some data that have their shape. */
export type DataFolders = {
  [Folder in keyof typeof DATA_FOLDERS]?: z.infer<(typeof DATA_FOLDERS)[Folder]> | undefined;
};

export type Rule = z.infer<typeof rule>;
export type Binding = z.infer<typeof binding>;
