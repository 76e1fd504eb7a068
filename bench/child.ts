import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** One process of the benchmark, asked over IPC, one question at a time. */
export interface Child<Question, Answer> {
  /** Milliseconds from its start to {@link serve}. */
  readonly startedMs: number;
  /** @throws Error with the child's message when it failed, or when it has ended */
  ask(question: Question): Promise<Answer>;
  /** Lets the process end by itself. Resolves when it has. */
  end(): Promise<void>;
}

/** What a server process tells about itself. */
export interface Usage {
  rssBytes: number;
  /** User and system time since the start, in microseconds. */
  cpuUs: number;
}

type Reply<Answer> = { answer: Answer } | { fault: string };

/** The environment variable that names a folder for CPU profiles of the server processes. */
const PROFILES = 'BENCH_CPU_PROFILES';

/**
 * Starts `bench/<file>` and resolves once it serves.
 *
 * @throws Error when it ends before
 */
export async function startChild<Question, Answer>(
  file: string,
  args: readonly string[] = [],
): Promise<Child<Question, Answer>> {
  const begunMs = performance.now();
  const folder = process.env[PROFILES];
  const profile = folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`];
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: profile });
  await nextReply(child);
  return {
    startedMs: performance.now() - begunMs,
    ask: async (question) => {
      child.send(question as object);
      return (await nextReply(child)) as Answer;
    },
    end: async () => {
      // One that has failed is gone already.
      if (!child.connected) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      await ended;
    },
  };
}

function nextReply(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`${child.spawnfile} ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (reply: Reply<unknown>) => {
      child.off('exit', onExit);
      if ('fault' in reply) reject(new Error(reply.fault));
      else resolve(reply.answer);
    });
  });
}

/** In a child: says that it is ready, answers questions, and runs `end` when the parent has let go. */
export function serve<Question>(options: {
  answer: (question: Question) => Promise<unknown>;
  end: () => Promise<void>;
}): void {
  process.on('message', (question: Question) => {
    options.answer(question).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => process.send?.({ fault: error instanceof Error ? error.stack : String(error) }),
    );
  });
  process.once('disconnect', () => {
    options.end().then(
      () => process.exit(),
      () => process.exit(1),
    );
  });
  process.send?.({ answer: null });
}

/** What this process has used until now. */
export function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { rssBytes: process.memoryUsage.rss(), cpuUs: user + system };
}
