/**
 * Thrown in a write that needs something prepared outside the transaction, such as a policy that this broker has not
 * compiled yet. The writer rolls back that write alone, awaits `prepare`, and runs the write again; all others go on. State
 * that `prepare` needs from the transaction MUST be read before this is thrown.
 */
export class RunAgain extends Error {
  /** What is missing. Writes that miss the same share one preparation, so it MUST serve each of them. */
  readonly what: string;
  readonly prepare: () => Promise<unknown>;
  /** Whether no write can do without it. Then it does not wait for other preparations, and no write is refused for it. */
  readonly isForAll: boolean;

  constructor(
    what: string,
    prepare: () => Promise<unknown>,
    { isForAll = false }: { isForAll?: boolean } = {},
  ) {
    super('the write must run again');
    this.name = 'RunAgain';
    this.what = what;
    this.prepare = prepare;
    this.isForAll = isForAll;
  }
}
