/** A table of a page: its head, and rows whose text cannot end a cell. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(head),
    `|${'---|'.repeat(head.length)}`,
    ...rows.map((row) => line(row.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')))),
  ].join('\n');
}

/** A page whose hand-written part ends where its generated part begins: at the first of these headings. */
export function withGenerated(page: string, generated: string): string {
  const [heading = ''] = generated.split('\n');
  const [intro = ''] = page.split(`\n${heading}\n`);
  return `${intro.trimEnd()}\n\n${generated.trimEnd()}\n`;
}

/** Text in lines of the width of the other pages. Code and links stay whole. */
export function wrapText(text: string, width = 125): string {
  const words = text.match(/(?:\[[^\]]*\]\([^)]*\)|`[^`]*`|\S)+/g) ?? [];
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
