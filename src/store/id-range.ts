/** What sorts after every id that begins so. Ids are of 0-9, a-f and hyphens. */
export function afterAll(begins: string): string {
  return `${begins}g`;
}
