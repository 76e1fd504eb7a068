import { z } from 'zod';
import { keyPattern } from '../flags/names.ts';

/** Names of persons are compared without case, so they are written in one. */
const lowerCase = z.string().refine((name) => name === name.toLowerCase(), 'must be in lower case');

/**
 * The part of a bundle's data that the broker itself reads, under `data.config`. Everything else there belongs to the
 * Rego that comes with it. It is data of the bundle, not configuration of the broker, so that it is under the policy
 * hash and changes only with it.
 */
const brokerDataSchema = z.looseObject({
  config: z.looseObject({
    /** Environment key to its kind, such as `production`. A request can name no other environment. */
    environments: z.record(z.string().regex(keyPattern), z.looseObject({ kind: z.string().min(1) })),
    /** The version of the input document that the Rego reads. */
    input_version: z.literal([1, 2]).default(1),
    /** IANA names of the zones that the policy wants in `input.clock.zones`. */
    zones: z.array(z.string()).default([]),
    /** Trust rules for workloads; `trust/rules.ts` has their shape. */
    trust_rules: z.record(z.string(), z.unknown()).default({}),
    /** Issuers that several tenants share, to the claims that each trust rule for them has to pin. */
    shared_issuers: z.record(z.string(), z.array(z.string().min(1)).min(1)).default({}),
    /** Other names of one human, such as the account that starts CI jobs: alias to the name they sign in with. */
    persons: z.record(lowerCase, lowerCase).default({}),
    /** What the bundle says of each operation; its names are those that the bundle knows. The rest is the Rego's. */
    operations: z.unknown().optional(),
  }),
});

/** What the broker reads from a bundle's data. */
export interface BrokerData {
  input_version: number;
  environments: ReadonlyMap<string, { kind: string }>;
  zones: readonly string[];
  trust_rules: Readonly<Record<string, unknown>>;
  shared_issuers: ReadonlyMap<string, readonly string[]>;
  persons: ReadonlyMap<string, string>;
  /** The operations that the bundle says it knows; none where it says nothing. */
  operations: ReadonlySet<string>;
}

/**
 * Reads the broker's part of a bundle's data.
 *
 * @throws Error that names each fault, for the one who wrote the bundle
 */
export function parseBrokerData(data: unknown): BrokerData {
  const parsed = brokerDataSchema.safeParse(data);
  if (!parsed.success) throw new Error(`the bundle's data is not usable:\n${z.prettifyError(parsed.error)}`);
  const { input_version, environments, zones, trust_rules, shared_issuers, persons, operations } =
    parsed.data.config;
  for (const zone of zones) assertZone(zone);
  return {
    input_version,
    environments: new Map(Object.entries(environments)),
    zones,
    trust_rules,
    shared_issuers: new Map(Object.entries(shared_issuers)),
    persons: new Map(Object.entries(persons)),
    operations: new Set(Object.keys(isNamed(operations) ? operations : {})),
  };
}

/** A bundle of one's own may have anything under that name. */
function isNamed(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function assertZone(zone: string): void {
  if (!/^[A-Za-z_]+(\/[A-Za-z0-9_+-]+)*$/.test(zone)) {
    throw new Error(`data.config.zones: "${zone}" is not an IANA zone name such as "Europe/Berlin" or "UTC"`);
  }
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch {
    throw new Error(`data.config.zones: this machine's time-zone database does not know "${zone}"`);
  }
}
