import type { BrokerData } from './data.ts';

/** The one name, in lower case, of the human that a person's name stands for under a policy. */
export function resolvePerson({ broker }: { broker: Pick<BrokerData, 'persons'> }, person: string): string {
  const name = person.toLowerCase();
  return broker.persons.get(name) ?? name;
}
