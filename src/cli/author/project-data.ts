import { Document, isCollection, isMap, isPair, isScalar, isSeq, visit } from 'yaml';

/** Who uses the policy, as far as a new project has to know it. */
export interface ProjectAnswers {
  /** The identity provider of people. */
  issuer: string;
  /** Who has each role: its groups, or the values of that claim. */
  holders: ReadonlyMap<string, readonly string[]>;
  /** The claim by which roles are bound, of a provider whose tokens have no groups; null: by groups. */
  bindBy: string | null;
  /** Environments, each with its kind. */
  environments: ReadonlyMap<string, string>;
  /** The zone of the change windows. */
  zone: string;
  /** The broker's address, which is the audience of the pipeline's tokens too. */
  broker: string;
  /** The registry from which the pipeline installs Countersign. */
  registry: string;
  /** The repository that proposes the policy, by its ids; null: none. */
  repository: { id: string; owner: string } | null;
  /** Accounts at the platform of the pipeline, with the names that their humans sign in with. */
  aliases: ReadonlyMap<string, string>;
}

/** The roles that a group is asked for, with what else the group holds. */
export const ROLES: Readonly<Record<string, { also: readonly string[]; does: string }>> = {
  'flag-deployer': { also: ['flag-reader'], does: 'proposes changes' },
  'flag-approver': { also: ['flag-reader'], does: 'approves them' },
  'security-approver': {
    also: ['flag-approver', 'flag-reader'],
    does: 'approves what is high-risk, and policies',
  },
  'account-approver': { also: ['flag-reader'], does: 'speaks for customers' },
  'flag-emergency-override': { also: ['flag-reader'], does: 'freezes, and breaks glass' },
  'flag-auditor': { also: ['flag-reader'], does: 'reads all records' },
  'policy-maintainer': { also: ['flag-reader'], does: 'proposes and approves policies' },
};

/** The kinds of environments that the shipped tiers have rules for. */
export const ENVIRONMENT_KINDS = ['production', 'staging', 'development'] as const;

/** Who has a role: a group of the same name, if nothing else was said. */
export function holdersOf({ holders }: Pick<ProjectAnswers, 'holders'>, role: string): readonly string[] {
  return holders.get(role) ?? [role];
}

/** The name of the pipeline's trust rule. */
export const PIPELINE = 'policy-pipeline';

const everywhere = { namespaces: ['*'], environments: ['*'] };

/**
 * The data of a new project: that of the shipped start, with the answers in it. Comments at the top of each file stay.
 *
 * @param starter the text of each data file, by its folder under `config`
 */
export function projectData(
  starter: ReadonlyMap<string, string>,
  answers: ProjectAnswers,
): ReadonlyMap<string, string> {
  const data = new Map(starter);
  const put = (folder: string, value: unknown) =>
    data.set(folder, `${commentsOf(starter.get(folder) ?? '')}${yamlOf(value)}`);
  put('role_bindings', bindingsOf(answers));
  put('environments', Object.fromEntries([...answers.environments].map(([key, kind]) => [key, { kind }])));
  if (answers.repository !== null)
    put('trust_rules', { [PIPELINE]: pipelineRule(answers, answers.repository) });
  if (answers.aliases.size > 0) put('persons', Object.fromEntries(answers.aliases));
  for (const folder of ['zones', 'windows'])
    data.set(folder, (starter.get(folder) ?? '').replaceAll(/(zone: |^- )UTC$/gm, `$1${answers.zone}`));
  return data;
}

/** One group, or person, may have several roles. */
function bindingsOf(answers: ProjectAnswers): object {
  const { issuer, bindBy, repository } = answers;
  const byHolder = new Map<string, object[]>();
  for (const [role, { also }] of Object.entries(ROLES)) {
    const binding = {
      roles: [role, ...also],
      ...everywhere,
      ...(role === 'account-approver' ? { organizations: ['*'] } : {}),
    };
    for (const holder of holdersOf(answers, role))
      byHolder.set(holder, [...(byHolder.get(holder) ?? []), binding]);
  }
  const bindings = Object.fromEntries(byHolder);
  return {
    groups: bindBy === null ? { [issuer]: bindings } : {},
    claims: bindBy === null ? {} : { [issuer]: { [bindBy]: bindings } },
    trust_rules: repository === null ? {} : { [PIPELINE]: [{ roles: ['policy-maintainer'], ...everywhere }] },
    principals: { 'workload:countersign:scheduler': [{ roles: ['scheduler'], ...everywhere }] },
  };
}

/** It proposes policies, and nothing else. Whoever started the job is an author, and cannot approve what it proposed. */
function pipelineRule({ broker }: ProjectAnswers, repository: { id: string; owner: string }): object {
  return {
    issuer: 'https://token.actions.githubusercontent.com',
    audience: broker,
    claims: {
      repository_id: repository.id,
      repository_owner_id: repository.owner,
      ref: 'refs/heads/main',
      event_name: ['push', 'workflow_dispatch'],
      run_attempt: '1',
    },
    person: { claim: 'actor_id', prefix: 'github:' },
    grant: {
      audiences: ['control'],
      operations: ['policy.read', 'policy.upload', 'request.propose', 'request.read', 'request.withdraw'],
      ...everywhere,
      token_ttl_s: 600,
    },
  };
}

/** As a person writes it: what has no more than lists of names in it is on one line. Both versions of YAML read it alike. */
function yamlOf(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false, compat: 'yaml-1.1' });
  visit(document, {
    Collection: (_key, node, path) => {
      const isNames = isSeq(node) && node.items.every((each) => isScalar(each));
      node.flow = node.items.length === 0 || isNames || (isRow(node) && isSeq(path.at(-1)));
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function isRow(node: unknown): boolean {
  return (
    isMap(node) &&
    node.items.every(
      (item) =>
        isPair(item) && (!isCollection(item.value) || item.value.items.every((each) => isScalar(each))),
    )
  );
}

function commentsOf(text: string): string {
  return /^(?:#[^\n]*\n)*/.exec(text)?.[0] ?? '';
}
