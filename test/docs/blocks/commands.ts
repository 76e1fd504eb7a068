/** A command of a block. */
export interface DocumentedCommand {
  /** As it is typed, without the prompt and the remark behind it. */
  text: string;
  /** What stands behind it, after `#`. */
  remark: string;
  /** What the page shows below it, if it does. */
  shown: string[];
}

/** The commands of a block: after each `$` of a `console` block, otherwise all of its lines. */
export function commandsOf(text: string, isConsole: boolean): DocumentedCommand[] {
  const commands: DocumentedCommand[] = [];
  let open: string[] = [];
  for (const line of text.split('\n')) {
    if (isConsole && open.length === 0 && !line.startsWith('$ ')) {
      commands.at(-1)?.shown.push(line);
      continue;
    }
    open.push(isConsole && open.length === 0 ? line.slice(2) : line);
    const { isComplete, commentAt } = scan(open.join('\n'));
    if (!isComplete) continue;
    const whole = open.join('\n');
    open = [];
    const command = (commentAt === null ? whole : whole.slice(0, commentAt)).trim();
    const remark = commentAt === null ? '' : whole.slice(commentAt + 1).trim();
    if (command !== '') commands.push({ text: command, remark, shown: [] });
  }
  if (open.length > 0) throw new Error(`a command does not end: ${open.join('\n')}`);
  return commands;
}

/** Whether a shell would take that as a whole line, and where its remark begins. */
function scan(text: string): { isComplete: boolean; commentAt: number | null } {
  let quote: string | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] ?? '';
    if (quote !== null) {
      if (sign === '\\' && quote === '"') at += 1;
      else if (sign === quote) quote = null;
    } else if (sign === '\\') {
      if (at === text.length - 1) return { isComplete: false, commentAt: null };
      at += 1;
    } else if (sign === '"' || sign === "'") quote = sign;
    else if (sign === '#' && /^$|\s/.test(text[at - 1] ?? '')) return { isComplete: true, commentAt: at };
  }
  return { isComplete: quote === null, commentAt: null };
}

/** The words of one simple command, as a shell would give them; variables stay as they are written. */
export function wordsOf(text: string): string[] {
  const words = text.replaceAll('\\\n', ' ').matchAll(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/gs);
  return [...words].map(([word]) =>
    word.replaceAll(
      /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/gs,
      (_all, double?: string, single?: string, escaped?: string) =>
        double?.replaceAll(/\\(["\\$`])/g, '$1') ?? single ?? escaped ?? '',
    ),
  );
}

/** Each call of the command line in a text: alone, in a pipe, in `$(…)`. */
export function callsOf(text: string): string[][] {
  return commandsOf(text, false).flatMap(({ text: command }) => callsIn(command));
}

function callsIn(text: string): string[][] {
  const calls = text
    .replaceAll('\\\n', ' ')
    .matchAll(/(?:^|[\s(|;&])countersign ((?:"(?:\\.|[^"\\])*"|'[^']*'|[^"'|;&)<>\n])*)/g);
  return [...calls].map(([, words = '']) => wordsOf(words));
}
