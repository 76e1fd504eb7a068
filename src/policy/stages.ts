import { z } from 'zod';
import type { BrokerError } from '../errors.ts';
import { keyPattern } from '../flags/names.ts';
import { canonicalJson, sha256Hex } from '../json.ts';
import { nearestOf, unknownName } from '../unknown-name.ts';

/*
 * Stages: the steps of a policy's promotion (docs/stages.md). The map of stages is data of the last stage's bundle.
 * `staged-policy.ts` has the rule which stage decides what.
 */

/** A step of the promotion of policies, and the environments that its bundle decides. */
export interface Stage {
  name: string;
  environments: readonly string[];
}

/** Each stage may have a compiled policy of its own, and the rest of those that are kept in memory are for replays. */
const MAX_STAGES = 5;

/** The map of stages: in the order of promotion, the last one last. */
export const stagesSchema = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(keyPattern, 'use lower-case letters, digits, dot, underscore and hyphen, at most 100'),
      environments: z.array(z.string().min(1)).min(1),
    }),
  )
  .min(1)
  .max(MAX_STAGES);

/** The stages of a bundle's data; none if it has none in this form: then one policy decides everything. */
export function readStages(data: { config: Readonly<Record<string, unknown>> }): readonly Stage[] {
  const parsed = stagesSchema.safeParse(data.config.stages);
  return parsed.success ? parsed.data : [];
}

/**
 * The folders of the data that belong to the last stage. The bundle of an earlier stage always has them as the last one has
 * them, so that persons, trust rules and kinds of environments are the same whichever bundle decides.
 */
const SHARED_FOLDERS = ['environments', 'stages', 'persons', 'trust_rules', 'shared_issuers'] as const;

/** Whether a folder of the data belongs to the last stage. */
export function isShared(folder: string): boolean {
  return (SHARED_FOLDERS as readonly string[]).includes(folder);
}

/** The shared folders of some data. */
export interface SharedData {
  digest: string;
  folders: ReadonlyMap<string, unknown>;
}

/** The shared folders of a bundle's data. */
export function sharedData(data: unknown): SharedData {
  const { config } = data as { config: Record<string, unknown> };
  const folders = new Map(
    SHARED_FOLDERS.filter((name) => Object.hasOwn(config, name)).map((name) => [name, config[name]]),
  );
  return { digest: sha256Hex(canonicalJson(Object.fromEntries(folders))), folders };
}

/** The data of an earlier stage, with the folders of the last one in place of its own. */
export function withShared(data: unknown, { folders }: SharedData): unknown {
  const { config, ...others } = data as { config: Record<string, unknown> };
  const own = Object.entries(config).filter(([name]) => !isShared(name));
  return { ...others, config: { ...Object.fromEntries(own), ...Object.fromEntries(folders) } };
}

/** The answer to a name that no stage has. Whoever may read or propose policies may know them all. */
export function unknownStage(stages: readonly Stage[], name: string, pointer?: string): BrokerError {
  const names = stages.map((stage) => stage.name);
  const more =
    names.length === 0
      ? 'The active policy has no stages: leave it out.'
      : `The stages are ${names.join(', ')}.`;
  const nearest = nearestOf(name, names);
  return unknownName({ what: 'stage', name, nearest, more, ...(pointer === undefined ? {} : { pointer }) });
}

/** The stage that a name means: null for the last one, and without a name. Undefined if there is no such stage. */
export function stageNamed(stages: readonly Stage[], name: string | undefined): string | null | undefined {
  if (name === undefined || name === stages.at(-1)?.name) return null;
  return stages.find((stage) => stage.name === name)?.name;
}
