import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { ReplayView } from '../audit/replay.ts';
import { sha256Hex } from '../json.ts';
import { readStoredBundle } from '../policy/bundle.ts';
import { inputVersions } from '../policy/input-versions.ts';
import { createPolicy } from '../policy/policies.ts';
import { different, NOT_REPLAYABLE, type Replay, replayDecision } from '../policy/replay.ts';
import { REQUEST_KINDS } from '../requests/kinds/kinds.ts';
import { bundleUnusable } from './bundle-file.ts';
import { usageError } from './cli-error.ts';

const version = z.int().nullable();

/** The members of an exported decision (`GET /v1/decisions/{id}`) that a replay needs. */
const exportedSchema = z.object({
  id: z.string(),
  place: z.int(),
  policy_hash: z.string(),
  input_digest: z.string(),
  input: z.unknown(),
  result: z.unknown(),
  record: z
    .object({
      policy_hash: z.string(),
      guardrail: z.string().nullable(),
      schema: z.object({ input: version, result: z.int(), guardrails: version }),
    })
    .nullable(),
});

type Exported = z.infer<typeof exportedSchema>;

/**
 * Replays an exported decision with a bundle, without a broker.
 *
 * @param text the answer of `GET /v1/decisions/{id}`
 * @throws CliError `usage` if the text is no such answer, `bundle_unusable`
 */
export async function replayFile(text: string, bundleFile: string): Promise<ReplayView> {
  const exported = parseExported(text);
  const replay = await replayExported(exported, bundleFile);
  const about = { id: exported.id, place: exported.place, policy_hash: exported.policy_hash };
  return {
    ...about,
    outcome: replay.outcome,
    difference: replay.outcome === 'different' ? replay.difference : null,
    why:
      replay.outcome === 'not_replayable'
        ? { code: replay.code, detail: NOT_REPLAYABLE[replay.code], erased_by: null }
        : null,
  };
}

function parseExported(text: string): Exported {
  try {
    return exportedSchema.parse(JSON.parse(text));
  } catch (error) {
    const fault = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw usageError(
      `The file is not an exported decision. Export one with: countersign decisions ID --json\n${fault}`,
    );
  }
}

async function replayExported(exported: Exported, bundleFile: string): Promise<Replay> {
  const { record, input, input_digest, result } = exported;
  if (record === null) return { outcome: 'not_replayable', code: 'record_version_0' };
  if (record.schema.input === null) return { outcome: 'not_replayable', code: 'no_policy' };
  // The broker evaluated the text that JSON.stringify gives, which survives being parsed.
  const input_json = JSON.stringify(input);
  const digest = `sha256:${sha256Hex(input_json)}`;
  if (digest !== input_digest) {
    return different({ part: 'input', pointer: '', recorded: input_digest, replayed: digest });
  }
  const { policy_hash, guardrail, schema: versions } = record;
  return replayDecision(await openBundle(bundleFile), {
    policy_hash,
    versions,
    input_json,
    result,
    guardrail,
  });
}

async function openBundle(file: string) {
  try {
    return await createPolicy(await readStoredBundle(await readFile(file)), {
      inputs: inputVersions(REQUEST_KINDS),
    });
  } catch (error) {
    throw bundleUnusable(file, error);
  }
}
