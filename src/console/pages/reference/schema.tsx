import { useState } from 'react';
import { Hidden } from '../../parts/hidden.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { type ApiDocument, nameOf, resolved, type Schema, typeInWords } from './document.ts';
import styles from './reference.module.css';

interface Shown {
  document: ApiDocument;
  schema: Schema;
  /** In answers, what is always there needs no mark, and what may be absent does. */
  isAnswer?: boolean;
}

/** The members of a schema. Those of its members open where they stand, and are written out only then. */
export function SchemaView({ document, schema, isAnswer = false }: Shown) {
  const whole = resolved(document, schema);
  const choices = whole.oneOf ?? whole.anyOf;
  if (choices !== undefined) {
    return (
      <div className={styles.members}>
        {whole.description !== undefined && <p>{whole.description}</p>}
        <p>One of:</p>
        {choices.map((choice, index) => (
          <Nested
            // biome-ignore lint/suspicious/noArrayIndexKey: choices have no other identity
            key={index}
            document={document}
            schema={choice}
            isAnswer={isAnswer}
            title={choiceInWords(document, choice, index)}
          />
        ))}
      </div>
    );
  }
  if (whole.allOf !== undefined) {
    return whole.allOf.map((part, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts have no other identity
      <SchemaView key={index} document={document} schema={part} isAnswer={isAnswer} />
    ));
  }
  if (whole.items !== undefined)
    return <SchemaView document={document} schema={whole.items} isAnswer={isAnswer} />;
  const members = Object.entries(whole.properties ?? {});
  if (members.length === 0) {
    return (
      <p>
        {typeInWords(whole)}
        {whole.description === undefined ? '' : `: ${whole.description}`}
      </p>
    );
  }
  return (
    <dl className={styles.members}>
      {members.map(([name, member]) => (
        <div key={name}>
          <dt>
            <code>
              <Untrusted text={name} />
            </code>{' '}
            <span className={styles.type}>{typeInWords(member)}</span>
            <Need isRequired={whole.required?.includes(name) === true} isAnswer={isAnswer} />
          </dt>
          <dd>
            {member.description}
            {inner(document, member) !== null && (
              <Nested document={document} schema={member} isAnswer={isAnswer} title={`members of ${name}`} />
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Need({ isRequired, isAnswer }: { isRequired: boolean; isAnswer: boolean }) {
  if (isRequired === isAnswer) return null;
  return <span className={styles.required}> {isAnswer ? 'may be absent' : 'required'}</span>;
}

function Nested({ document, schema, isAnswer = false, title }: Shown & { title: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen ? <SchemaView document={document} schema={schema} isAnswer={isAnswer} /> : <Hidden>…</Hidden>}
    </details>
  );
}

/** What a schema has inside, if it has more than a type. */
function inner(document: ApiDocument, schema: Schema): Schema | null {
  const whole = resolved(document, schema);
  if (whole.items !== undefined) return inner(document, whole.items);
  const choices = whole.oneOf ?? whole.anyOf;
  if (choices !== undefined) return choices.some((choice) => inner(document, choice) !== null) ? whole : null;
  return whole.properties !== undefined || whole.allOf !== undefined ? whole : null;
}

/** A choice by its name, or by the member that tells it from the others. */
function choiceInWords(document: ApiDocument, choice: Schema, index: number): string {
  if (choice.$ref !== undefined) return nameOf(choice.$ref);
  const whole = resolved(document, choice);
  const constant = Object.entries(whole.properties ?? {}).find(([, { const: value }]) => value !== undefined);
  if (constant !== undefined) return `${constant[0]}: ${JSON.stringify(constant[1].const)}`;
  const names = whole.required ?? [];
  return names.length > 0 ? `with ${names.join(', ')}` : `${index + 1}: ${typeInWords(whole)}`;
}
