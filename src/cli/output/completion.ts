import type { Command, Option } from 'commander';

/*
 * Completion scripts. They are made from the commands themselves, and ask nobody: neither the broker nor this program.
 */

/** The shells. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** One command, as far as completion knows it. */
interface Known {
  /** The words that lead to it, each after a space; empty for the program itself. */
  at: string;
  inner: { name: string; summary: string }[];
  options: { long: string; summary: string; takesValue: boolean; choices: readonly string[] }[];
}

/** The completion script of a program for a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const known = commandsOf(program);
  return shell === 'fish' ? fishScript(known) : posixScript(known, shell);
}

function commandsOf(command: Command, at = ''): Known[] {
  const visible = command.createHelp().visibleCommands(command);
  const known: Known = {
    at,
    inner: visible.map((inner) => ({ name: inner.name(), summary: inner.description() })),
    options: command.createHelp().visibleOptions(command).flatMap(toOption),
  };
  return [known, ...command.commands.flatMap((inner) => commandsOf(inner, `${at} ${inner.name()}`))];
}

function toOption({ long, description, required, optional, argChoices = [] }: Option): Known['options'] {
  if (long === null || long === undefined) return [];
  return [{ long, summary: description, takesValue: required || optional, choices: argChoices }];
}

/** Every word that leads on to another command. */
function stepsOf(known: readonly Known[]): string[] {
  return known.flatMap(({ at }) => (at === '' ? [] : [at]));
}

/** Bash and zsh differ in how words are counted and answers given. */
function posixScript(known: readonly Known[], shell: 'bash' | 'zsh'): string {
  const isBash = shell === 'bash';
  const answer = (words: readonly string[]) =>
    isBash
      ? `COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$word"))`
      : `compadd -- ${words.map(quoted).join(' ')}`;
  const valued = known.flatMap(({ at, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map((option) => ({ ...option, place: `${at} ${option.long}` })),
  );
  const chosen = valued.filter(({ choices }) => choices.length > 0);
  const free = valued.filter(({ choices }) => choices.length === 0).map(({ place }) => quoted(place));
  const words = known.map(({ at, inner, options }) => {
    const all = [...inner.map(({ name }) => name), ...options.map(({ long }) => long)];
    return `    ${quoted(at)}) ${answer(all)} ;;`;
  });
  return [
    `# Completion of countersign for ${shell}. To load it: source <(countersign completion ${shell})`,
    '_countersign() {',
    "  local at='' i word before",
    ...(isBash
      ? [`  local -a words=("\${COMP_WORDS[@]}")`, '  local count=$COMP_CWORD first=1']
      : ['  local count=$CURRENT first=2']),
    '  for ((i = first; i < count; i++)); do',
    `    case "$at \${words[i]}" in`,
    `      ${stepsOf(known).map(quoted).join(' | ')}) at="$at \${words[i]}" ;;`,
    '    esac',
    '  done',
    `  word=\${words[count]} before=\${words[count - 1]}`,
    '  case "$at $before" in',
    ...chosen.map(({ place, choices }) => `    ${quoted(place)}) ${answer(choices)}; return ;;`),
    // In bash the names of files are what is answered by default.
    `    ${free.join(' | ')})${isBash ? '' : ' _files;'} return ;;`,
    '  esac',
    '  case "$at" in',
    ...words,
    '  esac',
    '}',
    isBash ? 'complete -o default -F _countersign countersign' : 'compdef _countersign countersign',
    '',
  ].join('\n');
}

function fishScript(known: readonly Known[]): string {
  return [
    '# Completion of countersign for fish. To load it: countersign completion fish | source',
    'function __countersign_at',
    "  set -l at ''",
    '  for word in (commandline -opc)[2..-1]',
    '    switch "$at $word"',
    `      case ${stepsOf(known).map(fishQuoted).join(' ')}`,
    '        set at "$at $word"',
    '    end',
    '  end',
    '  test "$at" = "$argv[1]"',
    'end',
    ...known.flatMap(({ at, inner, options }) => {
      const where = `complete -c countersign -n ${fishQuoted(`__countersign_at '${at}'`)}`;
      return [
        ...inner.map(({ name, summary }) => `${where} -f -a ${name} -d ${fishQuoted(summary)}`),
        ...options.map(({ long, summary, takesValue, choices }) => {
          const value =
            choices.length > 0 ? ` -xa ${fishQuoted(choices.join(' '))}` : takesValue ? ' -r' : '';
          return `${where} -l ${long.replace(/^--/, '')}${value} -d ${fishQuoted(summary)}`;
        }),
      ];
    }),
    '',
  ].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
