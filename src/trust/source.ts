import { z } from 'zod';
import type { Principal } from '../principal.ts';
import { SOURCE_CLAIMS } from './platforms/platforms.ts';

const part = z.string().nullable();

/** Where the code of a job came from, by the verified claims of its platform's token. Null: the token does not say. */
export const sourceSchema = z
  .strictObject({
    /** The platform that says so. */
    issuer: z.string(),
    repository: z.string(),
    /** The platform's permanent id of the repository: names can be registered again. */
    repository_id: part,
    commit: part,
    ref: part,
    /** The run of the job. */
    run: part,
  })
  .meta({ id: 'Source', description: 'Where the code of a CI job came from, by verified claims.' });
export type Source = z.infer<typeof sourceSchema>;

/**
 * The source of what a workload sends; null for persons, for agents, whose claims are those of their person, and for
 * workloads whose tokens name no repository.
 */
export function sourceOf({ kind, issuer, claims }: Principal): Source | null {
  if (kind !== 'workload') return null;
  const textOf = (claim: string | undefined) => {
    const value = claim !== undefined && Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    return typeof value === 'string' ? value : null;
  };
  for (const names of SOURCE_CLAIMS) {
    const repository = textOf(names.repository);
    if (repository === null) continue;
    return {
      issuer,
      repository,
      repository_id: textOf(names.repository_id),
      commit: textOf(names.commit),
      ref: textOf(names.ref),
      run: textOf(names.run),
    };
  }
  return null;
}

/** A stored source. */
export function parseSource(json: string): Source {
  return sourceSchema.parse(JSON.parse(json));
}

/** A source in words: `acme/payments at 7fd1a60b01f9 (refs/heads/main, run 987654321)`. */
export function describeSource({ repository, commit, ref, run }: Source): string {
  const at = commit === null ? '' : ` at ${commit.slice(0, 12)}`;
  const rest = [ref, run === null ? null : `run ${run}`].filter((text) => text !== null);
  return `${repository}${at}${rest.length === 0 ? '' : ` (${rest.join(', ')})`}`;
}
