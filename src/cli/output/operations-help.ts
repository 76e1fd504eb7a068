/** A list of operations with descriptions, for the end of a command's help. */
export function operationsHelp(
  names: readonly string[],
  operations: Readonly<Record<string, { says: string }>>,
): string {
  const width = Math.max(0, ...names.map((name) => name.length));
  const lines = names.map((name) => `  ${name.padEnd(width)}  ${operations[name]?.says ?? ''}`);
  return ['', 'Operations:', ...lines].join('\n');
}
