/*
 * How numbers are written in the report.
 */

/** A whole number with its groups. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A share as per cent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Below two as a share, because 0.7 of a floor is what people ask for. */
export function times(ratio: number): string {
  return ratio < 2 ? ratio.toFixed(2) : `${ratio.toFixed(1)}×`;
}

/** Bytes as MB. */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
