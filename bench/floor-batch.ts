/** What is done in a transaction. */
export type Work = () => unknown;

interface Job {
  work: Work;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
}

/** Makes one transaction of all that has arrived in a turn of the event loop. */
export function createBatches(
  runAll: (works: readonly Work[]) => unknown[],
): <T>(work: () => T) => Promise<T> {
  const jobs: Job[] = [];

  function runBatch(): void {
    const batch = jobs.splice(0);
    try {
      const values = runAll(batch.map(({ work }) => work));
      for (const [place, job] of batch.entries()) job.resolve(values[place] as never);
    } catch (error) {
      for (const job of batch) job.reject(error);
    }
  }

  return (work) =>
    new Promise((resolve, reject) => {
      if (jobs.length === 0) setImmediate(runBatch);
      jobs.push({ work, resolve, reject });
    });
}
