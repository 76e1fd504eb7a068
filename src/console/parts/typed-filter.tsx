import { useEffect, useRef, useState } from 'react';
import { TextField } from './fields.tsx';

/** How long nobody types before a part of a name is looked for, in milliseconds. */
const PAUSE_MS = 250;

/** A filter that is typed. It counts with Enter; a part of a name also once nobody types, and a whole one when it is left. */
export function TypedFilter({
  label,
  value,
  placeholder,
  list,
  isPart = false,
  onChange,
}: {
  label: string;
  value: string;
  placeholder?: string;
  list?: readonly string[];
  /** Whether a part of a name is looked for. Otherwise it has to be whole, so it counts when it was typed. */
  isPart?: boolean;
  onChange: (value: string) => void;
}) {
  const [typed, setTyped] = useState(value);
  // What the field itself has put into the address does not come back over what was typed since.
  const sent = useRef(value);
  useEffect(() => {
    if (value !== sent.current) setTyped(value);
    sent.current = value;
  }, [value]);
  const send = () => {
    const next = typed.trim();
    if (next === sent.current) return;
    sent.current = next;
    onChange(next);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the pause anew
  useEffect(() => {
    if (!isPart) return undefined;
    const { pathname } = window.location;
    const timer = setTimeout(() => {
      // Whoever has opened another page meanwhile is not taken back.
      if (window.location.pathname === pathname) send();
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      // What moves at once when a part of a name is left would move away from under the pointer.
      onBlur={isPart ? undefined : send}
    >
      <TextField
        label={label}
        type="search"
        value={typed}
        onChange={setTyped}
        {...(placeholder === undefined ? {} : { placeholder })}
        {...(list === undefined ? {} : { list })}
      />
    </form>
  );
}
