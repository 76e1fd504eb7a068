/**
 * A number as the formats of a log write it: decimal digits without leading zeros. Larger numbers than JavaScript counts
 * exactly (2^53 - 1) are none, because they could be mistaken for others.
 *
 * @returns null for any other text
 */
export function parseDecimal(text: string): number | null {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) return null;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : null;
}
