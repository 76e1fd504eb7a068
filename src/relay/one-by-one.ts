/**
 * Runs work for one item after the other. Of the items that wait only the newest is taken, because it is about the same thing.
 *
 * @returns a function that resolves when its item, or a newer one in its place, is done
 */
export function oneByOne<T>(work: (item: T) => Promise<void>): (item: T) => Promise<void> {
  let running: Promise<void> | null = null;
  let waiting: { item: T; done: Promise<void> } | null = null;

  function start(item: T): Promise<void> {
    const run = work(item).finally(() => {
      running = null;
    });
    running = run;
    return run;
  }

  async function startWaiting(former: Promise<void>): Promise<void> {
    await former.catch(() => undefined);
    const next = waiting;
    waiting = null;
    if (next !== null) await start(next.item);
  }

  return (item) => {
    if (running === null && waiting === null) return start(item);
    if (waiting === null) waiting = { item, done: startWaiting(running ?? Promise.resolve()) };
    else waiting.item = item;
    return waiting.done;
  };
}
