/** Lets the browser save a text as a file. */
export function saveAs(name: string, text: string, type = 'application/json'): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has the content by then, and it is no longer held.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
