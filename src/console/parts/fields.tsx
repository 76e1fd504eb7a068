import type { ReactNode } from 'react';
import { useId } from 'react';
import styles from './fields.module.css';

/** A field for text. What is wrong with it stands below it, and is read with it. */
export function TextField({
  label,
  value,
  initial,
  name,
  onChange,
  hint,
  fault,
  isRequired = false,
  lines = 1,
  placeholder,
  type = 'text',
  autoFocus = false,
  list,
}: {
  label: string;
  /** Absent: the field keeps it, and a form reads it by its name. */
  value?: string;
  initial?: string;
  name?: string;
  onChange?: (value: string) => void;
  hint?: ReactNode;
  fault?: string | undefined;
  isRequired?: boolean;
  /** More than one makes it an area. */
  lines?: number;
  placeholder?: string;
  type?: 'text' | 'number' | 'date' | 'datetime-local' | 'search';
  autoFocus?: boolean;
  /** What is offered while somebody types. */
  list?: readonly string[];
}) {
  const id = useId();
  const common = {
    id,
    name,
    value,
    defaultValue: initial,
    required: isRequired,
    placeholder,
    'aria-invalid': fault !== undefined,
    'aria-describedby': `${id}-hint`,
    // The first field of a dialog, which has taken the focus anyway.
    'data-autofocus': autoFocus || undefined,
    autoFocus,
  };
  return (
    <div className={styles.field}>
      <label htmlFor={id}>
        {label}
        {isRequired && <span className={styles.required}> (required)</span>}
      </label>
      {lines > 1 ? (
        <textarea {...common} rows={lines} onChange={({ target }) => onChange?.(target.value)} />
      ) : (
        <input
          {...common}
          type={type}
          autoComplete="off"
          list={list === undefined ? undefined : `${id}-list`}
          onChange={({ target }) => onChange?.(target.value)}
        />
      )}
      {list !== undefined && (
        <datalist id={`${id}-list`}>
          {list.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      )}
      <div id={`${id}-hint`} className={styles.hint}>
        {fault !== undefined && <span className={styles.fault}>{fault} </span>}
        {hint}
      </div>
    </div>
  );
}

/** A field with a few choices. It is the browser's own, which phones show in their way. */
export function Choice<Value extends string>({
  label,
  value,
  options,
  onChange,
  hint,
}: {
  label: string;
  value: Value;
  options: readonly (readonly [value: Value, label: string])[];
  onChange: (value: Value) => void;
  hint?: ReactNode;
}) {
  const id = useId();
  return (
    <div className={styles.field}>
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        value={value}
        aria-describedby={`${id}-hint`}
        onChange={({ target }) => onChange(target.value as Value)}
      >
        {options.map(([each, name]) => (
          <option key={each} value={each}>
            {name}
          </option>
        ))}
      </select>
      <div id={`${id}-hint`} className={styles.hint}>
        {hint}
      </div>
    </div>
  );
}
