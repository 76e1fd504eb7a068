import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type DataPatch, patchData, patchSchema } from '../../activation/patch.ts';
import { readStoredBundle } from '../../policy/bundle.ts';
import { type DataDifference, dataDifferences } from '../../policy/data-diff.ts';
import type { AnswerOf } from '../../routes.ts';
import { readBundleFile } from '../bundle-file.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { renderData, renderDifference } from '../output/render-difference.ts';
import { pathSegment } from '../output/text.ts';
import { type CheckedPolicy, runChecks } from '../run-checks.ts';

type ReportView = AnswerOf<'getPolicyReport'>;

interface DiffOptions extends CommonOptions {
  patch?: string;
  set?: string[];
  unset?: string[];
}

const HELP = `
Names what would change: the rows of data, who gains or loses which operation, what becomes of open requests and of existing
flags, and who could make the next activation. With two files or folders it needs no broker, and compares data and rules
only. A file is stored at the broker, as policy upload does; nothing is proposed.

Examples:
  countersign policy diff bundle.tar.gz                          against the active policy
  countersign policy diff sha256:…                               a stored bundle
  countersign policy diff 0197f3a0-7c1e-7000-8000-000000000001   as a request is approved
  countersign policy diff --set /config/limits/request_ttl_s=86400
  countersign policy diff old.tar.gz new/                        without a broker`;

/** `policy diff`: what changes between the active policy and another one. */
export function registerDiff(policy: Command, cli: Cli): void {
  cli
    .command(policy, 'diff [policy] [other]', 'show what would change with another policy, in words')
    .option('--patch <file>', 'a JSON Patch of the active data')
    .option('--set <path=json...>', 'a value of the active data, by its JSON Pointer')
    .option('--unset <path...>', 'a value of the active data to remove')
    .addHelpText('after', HELP)
    .action((one: string | undefined, other: string | undefined, options: DiffOptions) => {
      if (one !== undefined && other !== undefined) {
        return cli.runLocal(options, async ({ print }) => {
          const [before, after] = [await readBundleFile(one), await readBundleFile(other)];
          const difference = {
            active: before.hash,
            candidate: after.hash,
            same_module: before.wasm.equals(after.wasm),
            data: dataDifferences(before.data, after.data),
          };
          print(difference, () => render(difference, null));
          return EXIT.done;
        });
      }
      return cli.run(options, (context) => diff(context, one, options));
    });
}

interface Difference {
  active: string;
  candidate: string | null;
  same_module: boolean;
  data: DataDifference[];
}

/** What is compared with the active policy. */
interface Candidate {
  hash: string | null;
  data: unknown;
  /** The digest of its module; null: that of the active policy. */
  wasm: Buffer | null;
  report: () => Promise<ReportView>;
}

async function diff(context: Context, what: string | undefined, options: DiffOptions): Promise<ExitCode> {
  const { client, print } = context;
  if (what !== undefined && REQUEST_ID.test(what)) {
    const { report } = await reportOfRequest(context, what);
    if (!(await mayReadPolicy(context))) {
      // Approvers may be told what changes without reading the policy itself.
      print({ report }, () => renderDifference(report).join('\n'));
      return EXIT.done;
    }
  }
  const active = await readStoredBundle(await client.download('/v1/policy/bundle'));
  const candidate = await candidateOf(context, active.data, { what, options });
  const { report } = await candidate.report();
  const difference = {
    active: active.hash,
    candidate: candidate.hash ?? report.policy_hash,
    same_module: candidate.wasm === null || candidate.wasm.equals(active.wasm),
    data: dataDifferences(active.data, candidate.data),
  };
  print({ ...difference, report }, () => render(difference, report));
  return EXIT.done;
}

async function mayReadPolicy({ client }: Context): Promise<boolean> {
  try {
    await client.call({ method: 'GET', path: '/v1/policy/activations', query: { limit: '1' } });
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.denied) return false;
    throw error;
  }
}

function render(difference: Difference, report: ReportView['report'] | null): string {
  return [
    `from ${difference.active}`,
    `to   ${difference.candidate}`,
    difference.same_module ? 'rules: the same module' : 'rules: another module',
    ...renderData(difference.data),
    ...(report === null ? [] : renderDifference(report)),
  ].join('\n');
}

const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

async function candidateOf(
  context: Context,
  active: unknown,
  { what, options }: { what: string | undefined; options: DiffOptions },
): Promise<Candidate> {
  const patch = await patchOf(options);
  if ((what === undefined) === (patch.length === 0)) {
    throw usageError('Name a file, a policy hash or a request; or give --patch, --set or --unset.');
  }
  if (what === undefined) return patched(context, active, patch);
  if (REQUEST_ID.test(what)) return ofRequest(context, active, what);
  if (what.startsWith('sha256:')) return stored(context, what);
  const { archive, hash, data, wasm } = await readBundleFile(what);
  const { body } = await context.client.call<AnswerOf<'uploadBundle'>>({
    method: 'POST',
    path: '/v1/policy/bundles',
    archive,
  });
  const { policy_hash, archive_digest } = body;
  return { hash, data, wasm, report: () => runChecks(context, { policy_hash, archive_digest }) };
}

async function stored(context: Context, policy_hash: string): Promise<Candidate> {
  const path = `/v1/policy/bundles/${pathSegment(policy_hash)}`;
  const { hash, data, wasm } = await readStoredBundle(await context.client.download(path));
  return { hash, data, wasm, report: () => runChecks(context, { policy_hash }) };
}

function patched(context: Context, active: unknown, patch: DataPatch): Candidate {
  const asked: CheckedPolicy = { patch };
  return {
    hash: null,
    data: patchData(active, patch).data,
    wasm: null,
    report: () => runChecks(context, asked),
  };
}

/** As it was checked when the request was proposed: that is what people approve. */
async function ofRequest(context: Context, active: unknown, id: string): Promise<Candidate> {
  const { object, ...view } = await reportOfRequest(context, id);
  const patch = patchSchema.safeParse(object?.patch ?? null);
  const candidate = patch.success
    ? patched(context, active, patch.data)
    : await stored(context, String(object?.id));
  return { ...candidate, report: async () => view };
}

async function reportOfRequest(
  { client }: Context,
  id: string,
): Promise<ReportView & Pick<AnswerOf<'getRequest'>, 'object'>> {
  const { body } = await client.call<AnswerOf<'getRequest'>>({
    method: 'GET',
    path: `/v1/requests/${pathSegment(id)}`,
  });
  const base = body.bases.find(({ of }) => of.startsWith('report:'));
  if (base === undefined) {
    throw new CliError(EXIT.error, {
      code: 'no_report',
      title: 'The request has no report',
      detail: 'Only requests of kind policy.activate have one.',
    });
  }
  const path = `/v1/policy/reports/${pathSegment(base.of.slice('report:'.length))}`;
  const view = (await client.call<ReportView>({ method: 'GET', path })).body;
  return { ...view, object: body.object };
}

async function patchOf({ patch, set = [], unset = [] }: DiffOptions): Promise<DataPatch> {
  const operations = [
    ...(patch === undefined ? [] : [await readFile(patch, 'utf8').then(parseJson)].flat()),
    ...set.map((text) => {
      const at = text.indexOf('=');
      if (at === -1) throw usageError(`"${text}" is no path=json.`);
      return { op: 'add', path: text.slice(0, at), value: parseJson(text.slice(at + 1)) };
    }),
    ...unset.map((path) => ({ op: 'remove', path })),
  ];
  if (operations.length === 0) return [];
  const parsed = patchSchema.safeParse(operations);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw usageError(`The patch is invalid: ${issue?.path.join('/')}: ${issue?.message}`);
  }
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usageError(`"${text.slice(0, 100)}" is not JSON. Write a text as '"text"'.`);
  }
}
