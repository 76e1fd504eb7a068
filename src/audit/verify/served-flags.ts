import { z } from 'zod';
import { digestOf } from '../../json.ts';
import { MeaningFault } from './fault.ts';
import type { FlagVersion, Versions } from './versions.ts';

/** A flag as the broker serves it (`GET /v1/flags/{key}`): its definition with its version, and its states. */
const servedFlagSchema = z.looseObject({
  key: z.string(),
  definition_version: z.int(),
  states: z.record(z.string(), z.looseObject({ version: z.int() })),
});
export type ServedFlag = z.infer<typeof servedFlagSchema>;

/** Reads a flag that was served. @throws MeaningFault if it is none */
export function readServedFlag(value: unknown): ServedFlag {
  const parsed = servedFlagSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new MeaningFault(
    'flags_differ',
    null,
    'the given flags are not in the form of GET /v1/flags/{key}, one on each line',
  );
}

/**
 * Compares the flags that are served with those that the log says: each definition and each state, by version and digest.
 *
 * @returns how many definitions and states were compared
 * @throws MeaningFault for the first difference
 */
export function compareFlags(versions: Pick<Versions, 'newest'>, flags: Iterable<ServedFlag>): number {
  const served = new Map<string, Map<string | null, Found>>();
  for (const flag of flags) {
    if (served.has(flag.key)) throw differs(null, `the flag ${flag.key} is served twice`);
    served.set(flag.key, documentsOf(flag));
  }
  let compared = 0;
  const newest = versions.newest();
  for (const [flag, documents] of served) {
    for (const [environment, found] of documents) {
      assertSaid(nameOf(flag, environment), found, newest.get(flag)?.get(environment));
      compared += 1;
    }
  }
  for (const [flag, chain] of newest) {
    for (const [environment, said] of chain) {
      if (served.get(flag)?.has(environment) === true) continue;
      throw differs(
        said.place,
        `${nameOf(flag, environment)} is at version ${said.version}, and is not served`,
      );
    }
  }
  return compared;
}

interface Found {
  version: number;
  digest: string;
}

function documentsOf({ definition_version, states, ...definition }: ServedFlag): Map<string | null, Found> {
  return new Map<string | null, Found>([
    [null, { version: definition_version, digest: digestOf(definition) }],
    ...Object.entries(states).map(
      ([environment, { version, ...state }]) => [environment, { version, digest: digestOf(state) }] as const,
    ),
  ]);
}

function assertSaid(name: string, { version, digest }: Found, said: FlagVersion | undefined): void {
  if (said === undefined)
    throw differs(null, `${name} is served at version ${version}, and the log does not have it`);
  if (said.version !== version)
    throw differs(
      said.place,
      `${name} is served at version ${version}, and the log says version ${said.version}`,
    );
  if (said.digest !== digest)
    throw differs(said.place, `${name} is served with another content at version ${version}`);
}

function nameOf(flag: string, environment: string | null): string {
  return environment === null ? `the definition of ${flag}` : `${flag} in ${environment}`;
}

function differs(place: number | null, message: string): MeaningFault {
  return new MeaningFault('flags_differ', place, message);
}
