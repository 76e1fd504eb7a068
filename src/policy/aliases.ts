import { canonicalPerson, foldPerson, PERSON_FAULTS } from '../person-name.ts';
import { isPrincipalId } from '../principal.ts';

/*
 * Other names of one human, `persons` of a bundle's data: alias to the name that the human signs in with, or to another
 * alias. Chains are followed once, when the bundle is read.
 */

/** Aliases as they are written in a bundle's data. */
type Aliases = Readonly<Record<string, string>>;

/**
 * Each alias with the human at the end of its chain.
 *
 * @throws Error that lists each name that is not in canonical form, with the form, and each chain without an end
 */
export function resolveAliases(aliases: Aliases): ReadonlyMap<string, string> {
  const faults = aliasFaults(aliases);
  if (faults.length > 0) throw new Error(`data.config.persons is not valid:\n  ${faults.join('\n  ')}`);
  return resolved(new Map(Object.entries(aliases)));
}

/** What is wrong with aliases: names that are not in canonical form, and chains without an end. */
export function aliasFaults(aliases: Aliases): string[] {
  const chains = new Map(Object.entries(aliases));
  return [
    ...[...new Set([...chains.keys(), ...chains.values()])].flatMap(nameFaults),
    ...cycleFaults(chains),
  ];
}

/**
 * The same for a bundle that was stored before these faults were refused, and still decides. Names are folded, and all names
 * of a chain without an end are one human: nobody becomes two persons.
 */
export function resolveStoredAliases(aliases: Aliases): ReadonlyMap<string, string> {
  return resolved(
    new Map(Object.entries(aliases).map(([alias, name]) => [storedName(alias), storedName(name)])),
  );
}

function storedName(name: string): string {
  return foldPerson(name.trim());
}

function resolved(chains: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...chains.keys()].map((alias) => [alias, endOf(chains, alias)]));
}

/** The end of a chain; the first name in code-unit order of one that has none. A name may be an alias of itself. */
function endOf(chains: ReadonlyMap<string, string>, alias: string): string {
  const names = follow(chains, alias);
  const last = names.at(-1) ?? alias;
  const next = chains.get(last);
  if (next === undefined) return last;
  return names.slice(names.indexOf(next)).toSorted()[0] ?? last;
}

/** The names of a chain, each once. */
function follow(chains: ReadonlyMap<string, string>, alias: string): string[] {
  const names = [alias];
  for (let next = chains.get(alias); next !== undefined && !names.includes(next); next = chains.get(next)) {
    names.push(next);
  }
  return names;
}

function nameFaults(name: string): string[] {
  const shown = JSON.stringify(name);
  if (isPrincipalId(name)) {
    return [`${shown} is the id of a principal: write the name of the person, without the kind`];
  }
  const canonical = canonicalPerson(name);
  if ('fault' in canonical) return [`${shown} ${PERSON_FAULTS[canonical.fault]}: remove it`];
  if (canonical.person === name) return [];
  return [`${shown} is not in canonical form: write ${JSON.stringify(canonical.person)}`];
}

function cycleFaults(chains: ReadonlyMap<string, string>): string[] {
  const cycles = [...chains.keys()].flatMap((alias) => {
    const names = follow(chains, alias);
    return names.length > 1 && chains.get(names.at(-1) ?? '') === alias ? [names] : [];
  });
  // Each cycle once, from its first name.
  return cycles
    .filter((names) => names.toSorted()[0] === names[0])
    .map(
      (names) =>
        `${[...names, names[0]].join(' -> ')} has no end: map the aliases to the name that the human signs in with`,
    );
}
