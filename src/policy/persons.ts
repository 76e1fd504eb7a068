import type { BrokerData } from './data.ts';

/** The canonical name, in lower case, of the human behind a person's name under a policy. */
export function resolvePerson({ broker }: { broker: Pick<BrokerData, 'persons'> }, person: string): string {
  const name = person.toLowerCase();
  return broker.persons.get(name) ?? name;
}
