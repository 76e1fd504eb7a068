import { execFile } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { readPage } from '../docs/pages.ts';

const run = promisify(execFile);

/*
 * Carries out a Dockerfile without an engine for containers. Each stage is a folder, in which every absolute path of the
 * Dockerfile begins; what the base image has is what the machine of the test has.
 */

/** A stage that was carried out, and what it says about a container. */
export interface Stage {
  /** The folder that stands for its root. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  /** User and group ids. */
  user: string;
  healthcheck: string[];
  entrypoint: string[];
  cmd: string[];
}

interface Instruction {
  name: string;
  words: string;
}

/** The instructions of a Dockerfile, with its continued lines joined. */
function instructionsOf(text: string): Instruction[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', ...words] = line.split(' ');
      return { name, words: words.join(' ') };
    });
}

/** The top-level names that the build sees: everything is ignored, and some names are not. */
function namesInContext(): string[] {
  const [first, ...rest] = readPage('.dockerignore').trim().split('\n');
  if (first !== '*' || rest.some((line) => !/^![\w.-]+$/.test(line)))
    throw new Error('.dockerignore: only "*" and then "!name" are understood');
  return rest.map((line) => line.slice(1));
}

/** The paths of an image that a text may name. */
const ABSOLUTE = /(?<![\w./:])\/(?=(?:build|app|data|etc|run|tmp|usr)(?:\/|\b))/g;

/** A text with the paths of the image in the folder that stands for it. */
export function pathsIn(root: string, text: string): string {
  return text.replaceAll(ABSOLUTE, `${root}/`);
}

/** How the instruction that runs a command line finds programs: those of this Node.js first. */
export function pathOf(root: string): string {
  return [join(root, 'usr/local/bin'), dirname(process.execPath), process.env.PATH].join(delimiter);
}

/**
 * Builds all stages.
 *
 * @param context the folder that is sent to the build
 * @param folder where the stages are made
 * @returns the last stage
 * @throws Error for an instruction that is not understood, or a command that fails
 */
export async function buildImage(context: string, folder: string): Promise<Stage> {
  const stages = new Map<string, Stage>();
  let stage: Stage | null = null;
  for (const { name, words } of instructionsOf(readPage('Dockerfile'))) {
    if (name === 'FROM') {
      const [, label = String(stages.size)] = / AS (\S+)$/.exec(words) ?? [];
      stage = await emptyStage(join(folder, label));
      stages.set(label, stage);
    } else if (stage === null) throw new Error(`${name} before FROM`);
    else await carryOut({ name, words }, stage, { context, stages });
  }
  if (stage === null) throw new Error('the Dockerfile has no stage');
  return stage;
}

async function emptyStage(root: string): Promise<Stage> {
  await mkdir(join(root, 'usr/local/bin'), { recursive: true });
  return { root, workdir: '/', env: {}, user: '0:0', healthcheck: [], entrypoint: [], cmd: [] };
}

async function carryOut(
  { name, words }: Instruction,
  stage: Stage,
  { context, stages }: { context: string; stages: ReadonlyMap<string, Stage> },
): Promise<void> {
  const here = join(stage.root, stage.workdir);
  switch (name) {
    case 'WORKDIR':
      stage.workdir = words;
      await mkdir(join(stage.root, words), { recursive: true });
      return;
    case 'ENV':
      for (const [, key = '', value = ''] of words.matchAll(/(\w+)=(\S+)/g)) stage.env[key] = value;
      return;
    case 'COPY': {
      const [, from, paths = ''] = /^(?:--from=(\S+) )?(.+)$/.exec(words) ?? [];
      const sources = paths.split(' ');
      const target = join(here, sources.pop() ?? '');
      const other = from === undefined ? undefined : stages.get(from);
      if (from === undefined)
        for (const each of namesInContext()) await copy(join(context, each), join(target, each));
      else if (other === undefined) throw new Error(`there is no stage ${from}`);
      else if (sources.length === 1) await copy(join(other.root, sources[0] ?? ''), target);
      else for (const each of sources) await copy(join(other.root, each), join(target, basename(each)));
      return;
    }
    case 'RUN':
      await run('bash', ['-euc', pathsIn(stage.root, words)], {
        cwd: here,
        env: { ...process.env, ...stage.env, PATH: pathOf(stage.root) },
      });
      return;
    case 'USER':
      stage.user = words;
      return;
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(words.slice(words.indexOf('[')));
      return;
    case 'ENTRYPOINT':
      stage.entrypoint = JSON.parse(words);
      return;
    case 'CMD':
      stage.cmd = JSON.parse(words);
      return;
    case 'EXPOSE':
      return;
    default:
      throw new Error(`not understood: ${name} ${words}`);
  }
}

const copy = (from: string, to: string) => cp(from, to, { recursive: true, verbatimSymlinks: true });
