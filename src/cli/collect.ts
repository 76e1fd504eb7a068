/** Takes every value of an option that may be repeated. An option of many values would also take a surplus argument. */
export const collect = (value: string, former: string[] = []): string[] => [...former, value];
