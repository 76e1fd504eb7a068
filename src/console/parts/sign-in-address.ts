import type { SignInDemand } from '../api/fault.ts';

/** The address of a sign-in that returns to where the person is. */
export function signInAddress(demand: SignInDemand | null = null): string {
  const { pathname, search } = window.location;
  const query = new URLSearchParams({
    return_to: `${pathname}${search}`,
    ...(demand === null ? {} : { level: String(demand.level) }),
    ...(demand?.max_age_s == null ? {} : { max_age: String(demand.max_age_s) }),
  });
  return `/auth/sign-in?${query}`;
}
