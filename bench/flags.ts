/** The flags that the benchmark works with, all in production. */

/** The environment that all runs change and read. */
export const ENVIRONMENT = 'production';
/** Informational flags: policy allows their switching at once. */
export const TOGGLE_FLAGS = 200;
/** Operational flags: showing them to more takes one approval. */
export const CYCLE_FLAGS = 40;

/** A request may make 200 new versions, and a new flag makes one for each environment and one of its own. */
const CREATED_AT_ONCE = 40;
/** The most changes of one request. */
const CHANGED_AT_ONCE = 100;

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

/** The key of a flag that only relays are measured with; `place` counts from 0. */
export function relayFlag(place: number): string {
  return `bench-relay-${place}`;
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
  const audience = { kind: 'some', organizations: ['acme'], users: [] };
  // Those of the cycle are on and shown to one organization: then showing them to another one takes an approval.
  return [
    ...partsOf(toggles, CREATED_AT_ONCE).map((part) => part.map((flag) => createOf(flag, 'informational'))),
    cycles.map((flag) => createOf(flag, 'operational')),
    cycles.map((flag) => ({ action: 'set_audience', flag, audience })),
    cycles.map((flag) => ({ action: 'enable', flag })),
  ].map((changes) => ({ environment: ENVIRONMENT, changes, reason: 'Flags for the benchmark' }));
}

/**
 * The requests that make the flags of relays from one place to before another one, on for one organization; with
 * `toggles`, those of the toggles are, too.
 */
export function relayPreparations(from: number, to: number, toggles = 0): object[] {
  const added = Array.from({ length: to - from }, (_, place) => relayFlag(from + place));
  const shown = [...Array.from({ length: toggles }, (_, place) => toggleFlag(place)), ...added];
  const audience = { kind: 'some', organizations: ['acme', 'org-1'], users: [] };
  return [
    ...partsOf(added, CREATED_AT_ONCE).map((part) => part.map((flag) => createOf(flag, 'informational'))),
    ...partsOf(shown, CHANGED_AT_ONCE).map((part) =>
      part.map((flag) => ({ action: 'set_audience', flag, audience })),
    ),
    ...partsOf(shown, CHANGED_AT_ONCE).map((part) => part.map((flag) => ({ action: 'enable', flag }))),
  ].map((changes) => ({ environment: ENVIRONMENT, changes, reason: 'Flags for the benchmark' }));
}

function partsOf(flags: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(flags.length / size) }, (_, part) =>
    flags.slice(part * size, (part + 1) * size),
  );
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
