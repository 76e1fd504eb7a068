import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseCheckpoint } from '../src/tree/checkpoint.ts';
import { textOfNote } from '../src/tree/note.ts';
import { type Bench, job, MOST_CLIENTS } from './bench.ts';
import { fixed, whole } from './figures.ts';
import { BASE, startBrokerProcess } from './prepare.ts';

/** So many leaves are verified in a second, with what they mean. */
const LEAVES_PER_SECOND = 30_000;

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/**
 * `countersign verify` on a log that many clients have written at once: every leaf and tile against the signed checkpoint, and
 * what the records say together. The time is that of the whole process. A log that does not verify ends the benchmark.
 */
export async function measureVerified(bench: Bench): Promise<void> {
  const { stage, report, load, pace } = bench;
  await stage.copyDatabase(BASE, 'verified.db');
  const broker = await startBrokerProcess(stage, 'verified.db');
  const { url } = await broker.ask({});
  const [token = ''] = await stage.personTokens('avery', 1);
  const startMs = performance.now();
  while ((await sizeOf(url)) < pace.verified) {
    for (const scenario of ['toggle', 'cycle'] as const)
      await load.ask({ ...job(bench, scenario, MOST_CLIENTS), url, measureMs: pace.measureMs });
  }
  const writtenMs = performance.now() - startMs;
  const { key } = (await (await fetch(`${url}/v1/log`)).json()) as { key: string };
  await writeFile(stage.file('log.key'), key);
  const env = { ...process.env, COUNTERSIGN_TOKEN: token, COUNTERSIGN_URL: url };
  const countersign = async (...words: string[]) => {
    const begunMs = performance.now();
    const { stdout } = await run(process.execPath, [MAIN, ...words, '--json'], { env });
    return { answer: JSON.parse(stdout), seconds: (performance.now() - begunMs) / 1000 };
  };
  await countersign('publish', '--log', stage.file('published'));
  const verify = ['--key', stage.file('log.key')];
  const folder = await countersign('verify', stage.file('published'), ...verify);
  const served = await countersign('verify', ...verify);
  report.heading(
    'Verification of the log',
    `The whole of \`countersign verify\`, from the start of the process to its end, on a log that ${MOST_CLIENTS} clients wrote at once by toggles and cycles in ${fixed(writtenMs / 1000, 0)} s: every leaf and tile against the checkpoint, and what the records say together. Inputs are not replayed.`,
  );
  report.header(['', 'leaves', 'flag versions', 'counted votes', 'seconds', 'per second']);
  for (const [name, { answer, seconds }] of [
    ['a published folder', folder],
    ['the broker, which serves it meanwhile', served],
  ] as const) {
    const { size, flag_versions, counted_votes } = answer;
    const counts = [size, flag_versions, counted_votes].map(whole);
    report.row([name, ...counts, fixed(seconds, 1), whole(size / seconds)]);
  }
  report.measures([
    {
      what: 'leaves verified, with their meaning',
      value: folder.answer.size / folder.seconds,
      unit: 'a second',
      aim: { atLeast: LEAVES_PER_SECOND },
    },
  ]);
  await broker.end();
}

/** The number of records in the log of a broker. */
async function sizeOf(url: string): Promise<number> {
  const note = await (await fetch(`${url}/log/checkpoint`)).text();
  return parseCheckpoint(textOfNote(note)).size;
}
