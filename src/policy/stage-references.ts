import type { SchemaFault } from '../schema-faults.ts';
import type { DataFolders } from './data-schema.ts';

/** Every environment is in exactly one stage, so that it is clear which bundle decides it. */
export function stageFaults({ stages, environments = {} }: DataFolders): SchemaFault[] {
  if (stages === undefined) return [];
  const faults: SchemaFault[] = [];
  const stageOf = new Map<string, string>();
  const names = new Set<string>();
  for (const [index, { name, environments: decided }] of stages.entries()) {
    if (names.has(name)) {
      faults.push({ path: ['stages', index, 'name'], detail: `there is another stage "${name}"` });
    }
    names.add(name);
    for (const [place, environment] of decided.entries()) {
      const path = ['stages', index, 'environments', place];
      const other = stageOf.get(environment);
      if (!Object.hasOwn(environments, environment)) {
        faults.push({ path, detail: `there is no environment "${environment}"` });
      } else if (other !== undefined) {
        faults.push({ path, detail: `"${environment}" is in the stage "${other}" already` });
      }
      stageOf.set(environment, name);
    }
  }
  const missing = Object.keys(environments).filter((environment) => !stageOf.has(environment));
  return [
    ...faults,
    ...missing.map((environment) => ({
      path: ['stages'],
      detail: `the environment "${environment}" is in no stage: add it to one`,
    })),
  ];
}
