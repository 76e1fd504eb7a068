/** The time of this browser, for how long something lasts yet. Instants that count come from the broker. */
export function browserMs(): number {
  return performance.timeOrigin + performance.now();
}
