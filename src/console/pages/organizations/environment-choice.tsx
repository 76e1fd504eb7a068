import { useQuery } from '@tanstack/react-query';
import { environments } from '../../api/queries.ts';
import { Choice } from '../../parts/fields.tsx';

/** The environment of the address, or else the last one of the policy, which is the most important by custom. */
export function useEnvironment(chosen: string | undefined): string | undefined {
  const { data } = useQuery(environments);
  return chosen ?? (data?.includes('production') === true ? 'production' : data?.at(-1));
}

/** A field for the environment. */
export function EnvironmentChoice({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { data = [] } = useQuery(environments);
  const names = data.includes(value) ? data : [value, ...data];
  return (
    <Choice
      label="Environment"
      value={value}
      options={names.map((name) => [name, name] as const)}
      onChange={onChange}
    />
  );
}
