/** What a process of a test needs of the environment: nothing of the machine reaches it otherwise. */
export const CHILD_ENV: NodeJS.ProcessEnv = {
  PATH: process.env.PATH,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
};
