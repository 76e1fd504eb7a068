import type { ReactNode } from 'react';
import { Button as AriaButton } from 'react-aria-components/Button';
import styles from './button.module.css';

type Kind = 'plain' | 'primary' | 'danger' | 'quiet';

/** Something that acts. One that cannot act says why beside it, because nobody can ask a disabled button. */
export function Button({
  kind = 'plain',
  isDisabled = false,
  isPending = false,
  type = 'button',
  label,
  describedBy,
  onPress,
  children,
}: {
  kind?: Kind;
  isDisabled?: boolean;
  /** Sent, and not answered yet. */
  isPending?: boolean;
  type?: 'button' | 'submit';
  /** What it is called, where its text says too little. */
  label?: string;
  describedBy?: string;
  onPress?: () => void;
  children: ReactNode;
}) {
  return (
    <AriaButton
      // The library's own way to wait names an element that is gone by the time it is read.
      type={isPending ? 'button' : type}
      data-pending={isPending || undefined}
      className={`${styles.button} ${styles[kind]}`}
      isDisabled={isDisabled}
      {...(label === undefined ? {} : { 'aria-label': label })}
      {...(describedBy === undefined ? {} : { 'aria-describedby': describedBy })}
      {...(onPress === undefined || isPending ? {} : { onPress })}
    >
      {children}
    </AriaButton>
  );
}

/** A link that looks like a button, to an address outside of the console. */
export function ButtonLink({
  href,
  kind = 'plain',
  children,
}: {
  href: string;
  kind?: Kind;
  children: ReactNode;
}) {
  return (
    <a className={`${styles.button} ${styles[kind]}`} href={href}>
      {children}
    </a>
  );
}

/** The classes of a button, for links of the router. */
export function buttonClass(kind: Kind = 'plain'): string {
  return `${styles.button} ${styles[kind]}`;
}
