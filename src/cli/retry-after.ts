/**
 * The wait that a response asks for, in milliseconds, or null. The date form is not supported. RFC 9110 section 10.2.3
 */
export function retryAfterMs({ headers }: Response): number | null {
  const seconds = Number(headers.get('Retry-After') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}
