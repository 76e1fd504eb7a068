/*
 * How numbers are written in the report. One that could not be measured is written as a dash, and does not end the run:
 * between processes it is null, because JSON has no NaN.
 */

/** A number, if it was measured. */
export type Figure = number | null | undefined;

const NOT_MEASURED = '–';

function written(value: Figure, write: (value: number) => string): string {
  return typeof value === 'number' && Number.isFinite(value) ? write(value) : NOT_MEASURED;
}

/** A whole number with its groups. */
export function whole(value: Figure): string {
  return written(value, (number) => Math.round(number).toLocaleString('en-US'));
}

/** A number with so many digits behind the point. */
export function fixed(value: Figure, digits: number): string {
  return written(value, (number) => number.toFixed(digits));
}

/** A share as per cent. */
export function percent(share: Figure): string {
  return written(share, (number) => `${Math.round(number * 100)} %`);
}

/** Below two as a share, because 0.7 of a floor is what people ask for. */
export function times(ratio: Figure): string {
  return written(ratio, (number) => (number < 2 ? number.toFixed(2) : `${number.toFixed(1)}×`));
}

/** Bytes as MB. */
export function megabytes(bytes: Figure): string {
  return written(bytes, (number) => `${Math.round(number / 1e6)} MB`);
}
