/**
 * Thrown in a write that needs something prepared outside the transaction, such as a policy that this broker has not
 * compiled yet. The writer rolls back that write, commits those before it, awaits `prepare`, and runs the write again;
 * those after it wait, except emergencies. State that `prepare` needs from the transaction MUST be read before this is
 * thrown.
 */
export class RunAgain extends Error {
  /** What is missing; two that need the same have the same. */
  readonly what: string;
  readonly prepare: () => Promise<unknown>;

  constructor(what: string, prepare: () => Promise<unknown>) {
    super('the batch must run again');
    this.name = 'RunAgain';
    this.what = what;
    this.prepare = prepare;
  }
}
