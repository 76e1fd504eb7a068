/** Why something came out as it did. `code` is stable; `detail` is for people. */
export interface Reason {
  code: string;
  detail: string;
}
