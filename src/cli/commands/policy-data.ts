import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import { readYaml } from '../../yaml.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import type { ExitCode } from '../output/exit-codes.ts';
import type { StageOption } from './policy-stages.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

type Data = AnswerOf<'getPolicyData'>['data'];
type Operation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: unknown }
  | { op: 'remove'; path: string };

interface RowOptions extends StageOption, CommonOptions, WaitOptions {
  reason: string;
  ticket?: string;
  weakensActivation?: boolean;
}

interface BindingOptions extends RowOptions {
  group: string;
  issuer?: string;
  role: string[];
  namespace: string[];
  environment: string[];
  organization?: string[];
}

/**
 * The commands that change one row of the active policy's data. Each proposes a request of kind `policy.activate`; the
 * broker builds the bundle.
 */
export function registerPolicyData(policy: Command, cli: Cli): void {
  registerBindings(policy, cli);
  const rule = cli.command(policy, 'add-trust-rule <name>', 'propose a trust rule, or a change of one');
  rule.requiredOption('--file <path>', 'the rule as YAML or JSON, as in docs/trust-rules.md');
  row(cli, rule, (data, name, { file }: RowOptions & { file: string }) =>
    loadFile(file).then((value) => [place(data, ['trust_rules', name], value)]),
  );
  const window = cli.command(policy, 'add-window <name>', 'propose a change window, or a change of one');
  window
    .requiredOption('--zone <zone>', 'its time zone, such as Europe/Berlin')
    .requiredOption(
      '--days <days>',
      'the days on which it starts, such as 1-5 or 1,3 (1 is Monday)',
      parseDays,
    )
    .requiredOption('--start <time>', 'its start, such as 09:00', parseTime)
    .requiredOption('--end <time>', 'its end, such as 16:30', parseTime);
  row(cli, window, (data, name, options: RowOptions & WindowOptions) => {
    const { zone, days, start, end } = options;
    const zones = data.config.zones;
    const isKnown = Array.isArray(zones) && zones.includes(zone);
    return [
      ...(isKnown ? [] : [{ op: 'add', path: '/config/zones/-', value: zone } as const]),
      place(data, ['windows', name], { zone, days, start, end }),
    ];
  });
  const set = cli.command(policy, 'set <path> <json>', 'propose one value of the data, by its JSON Pointer');
  addRowOptions(set).action((path: string, json: string, options: RowOptions) =>
    propose(cli, options, (data) => [place(data, segmentsOf(path), parseValue(json))]),
  );
  const unset = cli.command(policy, 'unset <path>', 'propose to remove one value of the data');
  addRowOptions(unset).action((path: string, options: RowOptions) =>
    propose(cli, options, () => [{ op: 'remove', path: pointer(segmentsOf(path)) }]),
  );
}

interface WindowOptions {
  zone: string;
  days: number[];
  start: { hour: number; minute: number };
  end: { hour: number; minute: number };
}

function registerBindings(policy: Command, cli: Cli): void {
  const binding = (name: string, summary: string) =>
    addRowOptions(
      cli
        .command(policy, name, summary)
        .requiredOption('--group <group>', 'the group at the identity provider')
        .option('--issuer <issuer>', 'the identity provider (default: the only one with groups)')
        .requiredOption('--role <roles...>', 'the roles')
        .requiredOption('--namespace <namespaces...>', 'the namespaces; * is every one')
        .requiredOption('--environment <environments...>', 'the environments; * is every one')
        .option('--organization <ids...>', 'with account-approver: the organizations that it speaks for'),
    );
  binding('add-binding', 'propose that a group gets roles').action((options: BindingOptions) =>
    propose(cli, options, (data) => addBinding(data, options)),
  );
  binding('remove-binding', 'propose that a group loses roles').action((options: BindingOptions) =>
    propose(cli, options, (data) => removeBinding(data, options)),
  );
}

function addBinding(data: Data, options: BindingOptions): Operation[] {
  const path = bindingsPath(data, options);
  const value = toBinding(options);
  const list = valueAt(data, path);
  if (Array.isArray(list)) return [{ op: 'add', path: `${pointer(path)}/-`, value }];
  return [place(data, path, [value])];
}

function removeBinding(data: Data, options: BindingOptions): Operation[] {
  const path = bindingsPath(data, options);
  const list = valueAt(data, path);
  const wanted = JSON.stringify(toBinding(options));
  const found = Array.isArray(list) ? list.findIndex((row) => JSON.stringify(inOrder(row)) === wanted) : -1;
  if (found === -1) {
    throw usageError(
      `Group ${options.group} has no binding with exactly these roles, namespaces and environments. Its bindings: ${JSON.stringify(list ?? [])}`,
    );
  }
  // The last one takes the list with it, so that no empty list stays.
  const whole = Array.isArray(list) && list.length === 1;
  return [{ op: 'remove', path: whole ? pointer(path) : `${pointer(path)}/${found}` }];
}

function toBinding({ role, namespace, environment, organization }: BindingOptions): object {
  const organizations = organization === undefined ? {} : { organizations: organization };
  return { roles: role, namespaces: namespace, environments: environment, ...organizations };
}

function inOrder(row: unknown): object {
  const { roles, namespaces, environments, ...others } = row as Record<string, unknown>;
  return { roles, namespaces, environments, ...others };
}

function bindingsPath(data: Data, { issuer, group }: BindingOptions): string[] {
  const groups = valueAt(data, ['role_bindings', 'groups']);
  const issuers = Object.keys((groups ?? {}) as object);
  const [only] = issuers;
  if (issuer === undefined && (issuers.length !== 1 || only === undefined)) {
    throw usageError(`Name the identity provider with --issuer. Known: ${issuers.join(', ') || 'none'}`);
  }
  return ['role_bindings', 'groups', issuer ?? only ?? '', group];
}

/** Adds a value, with everything that it is in. */
function place(data: Data, path: readonly string[], value: unknown): Operation {
  for (let length = 1; length < path.length; length += 1) {
    if (valueAt(data, path.slice(0, length)) !== undefined) continue;
    if (length === 1) throw usageError(`The data of the active policy has no folder ${path[0]}.`);
    const wrapped = path.slice(length).reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
    return { op: 'add', path: pointer(path.slice(0, length)), value: wrapped };
  }
  return { op: valueAt(data, path) === undefined ? 'add' : 'replace', path: pointer(path), value };
}

function valueAt(data: Data, path: readonly string[]): unknown {
  let value: unknown = data.config;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** RFC 6901 section 3 */
function pointer(path: readonly string[]): string {
  return ['', 'config', ...path].map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1')).join('/');
}

function segmentsOf(path: string): string[] {
  const [root, config, ...names] = path.split('/');
  const isMap = names.length === 1 && names[0] === 'stages';
  if (root !== '' || config !== 'config' || (names.length < 2 && !isMap)) {
    throw usageError(`"${path}" is no place in the data. Write it as /config/limits/request_ttl_s.`);
  }
  return names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function parseValue(json: string): unknown {
  const document = readYaml(json);
  if ('faults' in document) throw usageError(`The value is not JSON: ${document.faults.join('; ')}`);
  return document.value;
}

async function loadFile(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw usageError(`${path} cannot be read: ${error.message}`);
  });
  return parseValue(text);
}

function parseDays(text: string): number[] {
  const days = text.split(',').flatMap((part) => {
    const [, first, last = first] = /^([1-7])(?:-([1-7]))?$/.exec(part.trim()) ?? [];
    if (first === undefined || Number(last) < Number(first)) {
      throw usageError(`"${text}" is no list of days. Write it as 1-5 or 1,3,5 (1 is Monday).`);
    }
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, place) => Number(first) + place);
  });
  return [...new Set(days)].sort();
}

function parseTime(text: string): { hour: number; minute: number } {
  const [, hour, minute] = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(text) ?? [];
  if (hour === undefined || (hour === '24' && minute !== '00')) {
    throw usageError(`"${text}" is no time of day. Write it as 09:00; 24:00 is the end of the day.`);
  }
  return { hour: Number(hour), minute: Number(minute) };
}

function addRowOptions(command: Command): Command {
  return addWaitOptions(
    command
      .requiredOption('--reason <text>', 'the reason for the request')
      .option('--ticket <id>', 'the ticket reference')
      .option('--stage <name>', 'the stage whose data is changed (default: the last)')
      .option('--weakens-activation', 'propose it although the next activation then needs fewer approvals'),
  );
}

/** A command about one named row. */
function row<Options extends RowOptions>(
  cli: Cli,
  command: Command,
  toPatch: (data: Data, name: string, options: Options) => Operation[] | Promise<Operation[]>,
): void {
  addRowOptions(command).action((name: string, options: Options) =>
    propose(cli, options, (data) => toPatch(data, name, options)),
  );
}

function propose(
  cli: Cli,
  options: RowOptions,
  toPatch: (data: Data) => Operation[] | Promise<Operation[]>,
): Promise<void> {
  return cli.run(options, async (context: Context): Promise<ExitCode> => {
    const { body } = await context.client.call<AnswerOf<'getPolicyData'>>({
      method: 'GET',
      path: '/v1/policy/data',
      query: { stage: options.stage },
    });
    const { reason, ticket, weakensActivation, stage } = options;
    const content = {
      kind: 'policy.activate',
      patch: await toPatch(body.data),
      reason,
      ...(ticket === undefined ? {} : { ticket }),
      ...(stage === undefined ? {} : { stage }),
      ...(weakensActivation === true ? { weakens_activation: true } : {}),
    };
    return proposeContent(context, { body: content, ...options });
  });
}
