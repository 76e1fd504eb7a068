/** A bundle that cannot be used, with a message for its author. */
export class BundleError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BundleError';
  }
}
