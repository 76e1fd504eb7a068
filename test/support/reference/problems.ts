import { PROBLEMS } from '../../../src/problems.ts';
import { wrapText } from './markdown.ts';

/** The generated part of docs/problems.md: a heading for each code, at which its `type` leads. */
export function problemsReference(): string {
  return Object.entries(PROBLEMS)
    .map(
      ([code, { status, title, means, remedy }]) =>
        `## ${code}\n\nHTTP ${status}. *${title}.*\n${wrapText(means)}\n${wrapText(`**To clear it:** ${remedy}`)}\n`,
    )
    .join('\n');
}
