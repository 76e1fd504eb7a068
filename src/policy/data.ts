import { z } from 'zod';
import type { FlagDefinition } from '../flags/model.ts';
import { keyPattern } from '../flags/names.ts';
import { resolveAliases, resolveStoredAliases } from './aliases.ts';
import { type CalendarData, readCalendar } from './calendar.ts';
import { DATA_FOLDERS } from './data-schema.ts';
import { readStages, type Stage } from './stages.ts';
import { isZone } from './zones.ts';

/**
 * The part of a bundle's data that the broker itself reads, under `data.config`. Everything else there belongs to the
 * bundle's Rego. It is data of the bundle, not configuration of the broker, so the policy hash covers it.
 */
const brokerDataSchema = z.looseObject({
  config: z.looseObject({
    /** Environment key to its kind, such as `production`. Requests may name only these environments. */
    environments: z.record(z.string().regex(keyPattern), z.looseObject({ kind: z.string().min(1) })),
    /** The version of the input document that the Rego reads. */
    input_version: z.literal([1, 2]).default(1),
    /** IANA names of the zones that the policy requires in `input.clock.zones`. */
    zones: z.array(z.string()).default([]),
    /** Trust rules for workloads; `trust/rules.ts` has their schema. */
    trust_rules: z.record(z.string(), z.unknown()).default({}),
    /** Issuers that several tenants share, mapped to the claims that each trust rule for them must pin. */
    shared_issuers: z.record(z.string(), z.array(z.string().min(1)).min(1)).default({}),
    /** Other names of one human, such as the account that starts CI jobs: alias to the name they sign in with, or alias. */
    persons: z.record(z.string(), z.string()).default({}),
    /** The variants of a flag by its key, from the least to the most exposed. */
    exposure_order: z
      .record(z.string(), z.array(z.string()).refine(isWithoutDuplicates, 'name each variant once'))
      .default({}),
    /** How far back `input.recent` goes; without it, the input has none. */
    recent: z.unknown().optional(),
    /** Which flags are sensitive, so that each read of them is recorded. */
    recorded_reads: z.unknown().optional(),
    /** Whether the input has `log`. */
    cosigned: z.unknown().optional(),
    /** The operations that the bundle has, by name. The values belong to the Rego. */
    operations: z.unknown().optional(),
    /** Only how long a sign-in is accepted, and a request can be followed; the rest belongs to the Rego. */
    token_lifetimes: z
      .looseObject({
        sign_in: z.int().min(1).optional().catch(undefined),
        follow_up: z.int().min(1).optional().catch(undefined),
      })
      .optional()
      .catch(undefined),
  }),
});

function isWithoutDuplicates(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

/** The tiers and namespaces whose flags are sensitive. */
export interface SensitiveFlags {
  tiers: readonly string[];
  /** `*` for all. */
  namespaces: readonly string[];
}

/** What is sensitive in a bundle that does not say it. */
const SENSITIVE_TIERS: readonly string[] = ['high-risk'];

/** Whether the policy calls a flag sensitive, so that each read of it is recorded. */
export function isSensitive(
  { tiers, namespaces }: SensitiveFlags,
  { tier, namespace }: Pick<FlagDefinition, 'tier' | 'namespace'>,
): boolean {
  return tiers.includes(tier) || namespaces.includes(namespace) || namespaces.includes('*');
}

/** The broker's part of a bundle's data. */
export interface BrokerData {
  input_version: number;
  environments: ReadonlyMap<string, { kind: string }>;
  zones: readonly string[];
  trust_rules: Readonly<Record<string, unknown>>;
  shared_issuers: ReadonlyMap<string, readonly string[]>;
  /** Each alias with the name that the human signs in with; chains are resolved. */
  persons: ReadonlyMap<string, string>;
  exposure_order: ReadonlyMap<string, readonly string[]>;
  /** The operations that the bundle declares; empty if it declares none. */
  operations: ReadonlySet<string>;
  /** The steps of promotion, in order; empty if one policy decides every environment. */
  stages: readonly Stage[];
  /** How far back `input.recent` goes, in minutes; null if the bundle does not ask for it. */
  recent_minutes: number | null;
  /** Which flags are sensitive. */
  recorded_reads: SensitiveFlags;
  /** Whether the bundle asks for what the witnesses have cosigned. */
  asks_cosigned: boolean;
  /** The operations that the bundle declares to be single-use, besides those that change something. */
  single_use: ReadonlySet<string>;
  /** How long a person's sign-in is accepted, in seconds; null without a limit. The Rego enforces it. */
  sign_in_age_s: number | null;
  /** The lifetime of a token with which a job follows its request, in seconds; null for the longest. */
  follow_up_s: number | null;
  /** Windows, holidays and blackouts, as far as they have the documented form. */
  calendar: CalendarData;
}

/**
 * Parses the broker's part of a bundle's data.
 *
 * @param isStored whether the bundle is already in the store: aliases that are refused in others are resolved then
 * @throws Error that lists each fault, for the author of the bundle
 */
export function parseBrokerData(data: unknown, isStored = false): BrokerData {
  const parsed = brokerDataSchema.safeParse(data);
  if (!parsed.success) throw new Error(`the bundle's data is invalid:\n${z.prettifyError(parsed.error)}`);
  const {
    input_version,
    environments,
    zones,
    trust_rules,
    shared_issuers,
    persons,
    operations,
    exposure_order,
    recent,
    recorded_reads,
    cosigned,
    token_lifetimes,
  } = parsed.data.config;
  for (const zone of zones) {
    const fault = zoneFault(zone);
    if (fault !== null) throw new Error(`data.config.zones: ${fault}`);
  }
  return {
    input_version,
    environments: new Map(Object.entries(environments)),
    zones,
    trust_rules,
    shared_issuers: new Map(Object.entries(shared_issuers)),
    persons: isStored ? resolveStoredAliases(persons) : resolveAliases(persons),
    exposure_order: new Map(Object.entries(exposure_order)),
    operations: new Set(Object.keys(isNamed(operations) ? operations : {})),
    stages: readStages(parsed.data),
    recent_minutes: DATA_FOLDERS.recent.safeParse(recent).data?.minutes ?? null,
    recorded_reads: sensitiveFlags(recorded_reads),
    asks_cosigned: isNamed(cosigned) && Object.keys(cosigned).length > 0,
    single_use: new Set(Object.entries(isNamed(operations) ? operations : {}).flatMap(singleUse)),
    follow_up_s: token_lifetimes?.follow_up ?? null,
    sign_in_age_s: token_lifetimes?.sign_in ?? null,
    calendar: readCalendar(data),
  };
}

/** A custom bundle may have any value under that name. */
function sensitiveFlags(value: unknown): SensitiveFlags {
  const { tiers = SENSITIVE_TIERS, namespaces = [] } =
    DATA_FOLDERS.recorded_reads.safeParse(value).data ?? {};
  return { tiers, namespaces };
}

/** A custom bundle may have any value under that name. */
function isNamed(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function singleUse([name, row]: [string, unknown]): string[] {
  return isNamed(row) && 'single_use' in row && row.single_use === true ? [name] : [];
}

/** What is wrong with the name of a zone; null if this machine knows it. */
export function zoneFault(zone: string): string | null {
  if (!/^[A-Za-z_]+(\/[A-Za-z0-9_+-]+)*$/.test(zone)) {
    return `"${zone}" is not an IANA zone name such as "Europe/Berlin" or "UTC"`;
  }
  return isZone(zone) ? null : `this machine's time-zone database does not know "${zone}"`;
}
