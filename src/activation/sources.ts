import type { Base } from '../decide/plan.ts';
import { digestOf } from '../json.ts';
import type { Principal } from '../principal.ts';
import { findBundleSource } from '../store/policies.ts';
import type { Db } from '../store/statement.ts';
import { describeSource, parseSource, type Source, sourceOf, sourceSchema } from '../trust/source.ts';

/** Where a policy comes from, in the object of a request. Both are absent if no CI job had a part in it. */
export const policySources = {
  source: sourceSchema.optional().meta({ description: 'The source of the CI job that proposed it.' }),
  bundle_source: sourceSchema
    .optional()
    .meta({ description: 'The source of the CI job that uploaded the bundle.' }),
};

/** Members of the object of a request: {@link policySources}. */
export interface PolicySources {
  source?: Source | undefined;
  bundle_source?: Source | undefined;
}

/**
 * Where a policy comes from, by verified claims of who proposes it, and of who uploaded the bundle.
 *
 * @param archive_digest the uploaded bundle, or null for a patch
 */
export async function sourcesOf(
  db: Db,
  proposer: Principal,
  archive_digest: string | null,
): Promise<PolicySources> {
  const source = sourceOf(proposer);
  const uploaded = archive_digest === null ? null : await findBundleSource(db, archive_digest);
  return {
    ...(source !== null && { source }),
    ...(uploaded !== null && { bundle_source: parseSource(uploaded) }),
  };
}

/** The digest that is approved covers them. */
export function basesOfSources({ source, bundle_source }: PolicySources): Base[] {
  return Object.entries({ source, bundle_source }).flatMap(([name, value]) =>
    value === undefined ? [] : [{ of: `${name}:${digestOf(value)}`, version: 1 }],
  );
}

/** For a sentence: `, proposed by acme/policy at 7fd1a60b01f9`; empty if no CI job had a part in it. */
export function describeSources({ source, bundle_source }: PolicySources): string {
  const isSame =
    source !== undefined && bundle_source !== undefined && digestOf(source) === digestOf(bundle_source);
  if (isSame) return `, uploaded and proposed by ${describeSource(source)}`;
  const uploaded = bundle_source === undefined ? '' : `, uploaded by ${describeSource(bundle_source)}`;
  return source === undefined ? uploaded : `${uploaded}, proposed by ${describeSource(source)}`;
}
