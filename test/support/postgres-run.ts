import type { TestProject } from 'vitest/node';

/** Tells the processes of one test run what they share. */
export function setup(project: TestProject): void {
  project.provide('runner', process.pid);
}
