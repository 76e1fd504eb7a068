/** The flags that the benchmark works with, all in production. */

/** The environment that all runs change and read. */
export const ENVIRONMENT = 'production';
/** Informational flags: policy allows their switching at once. */
export const TOGGLE_FLAGS = 200;
/** Operational flags: showing them to more takes one approval. */
export const CYCLE_FLAGS = 40;

/** A request may make 200 new versions, and a new flag makes one for each environment and one of its own. */
const CREATED_AT_ONCE = 40;

const NAMESPACE = 'payments';

/** The key of an informational flag; `place` counts from 0. */
export function toggleFlag(place: number): string {
  return `bench-toggle-${place}`;
}

/** The key of an operational flag; `place` counts from 0. */
export function cycleFlag(place: number): string {
  return `bench-cycle-${place}`;
}

/** The key of an informational flag that is switched at its time; `place` counts from 0. */
export function dueFlag(place: number): string {
  return `bench-due-${place}`;
}

/** The evaluation context that a client asks with, as an OFREP body. */
export function contextOf(client: number): object {
  return {
    context: { targetingKey: `user-${client}`, organization: `org-${client % 7}`, plan: 'enterprise' },
  };
}

/** The requests that make the flags what the runs begin with, in parts that one request may have. */
export function preparations(): object[] {
  const toggles = Array.from({ length: TOGGLE_FLAGS }, (_, place) => toggleFlag(place));
  const cycles = Array.from({ length: CYCLE_FLAGS }, (_, place) => cycleFlag(place));
  const parts = Array.from({ length: TOGGLE_FLAGS / CREATED_AT_ONCE }, (_, place) =>
    toggles.slice(place * CREATED_AT_ONCE, (place + 1) * CREATED_AT_ONCE),
  );
  const audience = { kind: 'some', organizations: ['acme'], users: [] };
  // Those of the cycle are on and shown to one organization: then showing them to another one takes an approval.
  return [
    ...parts.map((part) => part.map((flag) => createOf(flag, 'informational'))),
    cycles.map((flag) => createOf(flag, 'operational')),
    cycles.map((flag) => ({ action: 'set_audience', flag, audience })),
    cycles.map((flag) => ({ action: 'enable', flag })),
  ].map((changes) => ({ environment: ENVIRONMENT, changes, reason: 'Flags for the benchmark' }));
}

/** The change that makes a flag. */
export function createOf(flag: string, tier: 'informational' | 'operational'): object {
  return {
    action: 'create',
    flag,
    definition: {
      namespace: NAMESPACE,
      kind: 'release',
      tier,
      owner: 'payments',
      purpose: 'A flag that the benchmark switches on and off',
      variants: { on: true, off: false },
      safe_variant: 'off',
      retirement: 'When the benchmark ends',
    },
  };
}
