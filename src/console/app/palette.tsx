import { Dialog } from '../parts/dialog.tsx';

/** The palette. */
export function Palette({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Search" onClose={onClose}>
      …
    </Dialog>
  );
}
