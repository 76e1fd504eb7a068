import { useEffect, useState } from 'react';
import { browserMs } from '../../parts/browser-clock.ts';

/** How long something lasts yet. It moves each second, and is read aloud only when somebody comes to it. */
export function Countdown({ untilMs, onEnd }: { untilMs: number; onEnd?: () => void }) {
  const [left, setLeft] = useState(() => untilMs - browserMs());
  useEffect(() => {
    const timer = setInterval(() => {
      const rest = untilMs - browserMs();
      setLeft(rest);
      if (rest > 0) return;
      clearInterval(timer);
      onEnd?.();
    }, 1000);
    return () => clearInterval(timer);
  }, [untilMs, onEnd]);
  const seconds = Math.max(0, Math.ceil(left / 1000));
  const text = `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s left`;
  return (
    <strong role="timer" aria-live="off">
      {left <= 0 ? 'it has ended' : text}
    </strong>
  );
}
