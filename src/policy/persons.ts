import type { BrokerData } from './data.ts';

/** The canonical name, in lower case, of the person behind a name under a policy. */
export function resolvePerson({ broker }: { broker: Pick<BrokerData, 'persons'> }, person: string): string {
  const name = person.toLowerCase();
  return broker.persons.get(name) ?? name;
}

/** All names of persons as a policy has them; another policy may have others. */
export function personNames(policy: { hash: string; broker: Pick<BrokerData, 'persons'> }): {
  version: string;
  resolve: (person: string) => string;
} {
  return { version: policy.hash, resolve: (person) => resolvePerson(policy, person) };
}
