import { Link } from '@tanstack/react-router';
import { Code } from '../../parts/document.tsx';
import {
  type ApiDocument,
  type Call,
  contentOf,
  type Operation,
  type Parameter,
  problemsOf,
  typeInWords,
} from './document.ts';
import { curlOf } from './example.ts';
import styles from './reference.module.css';
import { SchemaView } from './schema.tsx';

/** All about one call. */
export function OperationView({ document, call }: { document: ApiDocument; call: Call }) {
  const { operation } = call;
  const { operationId, parameters = [], requestBody, 'x-policy-operations': asked = [] } = operation;
  const body = contentOf(requestBody);
  return (
    <div className={styles.operation}>
      <p className={styles.facts}>
        <span>
          Name: <code>{operationId}</code>
        </span>
        <span>
          {asked.length === 0 ? 'Needs no role' : 'The policy is asked for: '}
          <code>{asked.join(', ')}</code>
        </span>
        <Link to="/api" search={{}} hash={operationId}>
          Link to this call
        </Link>
      </p>
      <h4>Example</h4>
      <Code label={`Example of ${operationId}`} text={curlOf(document, call, window.location.origin)} />
      {parameters.length > 0 && (
        <>
          <h4>Parameters</h4>
          <Parameters of={parameters} />
        </>
      )}
      {body !== null && (
        <>
          <h4>Body ({body.type})</h4>
          <SchemaView document={document} schema={body.schema} />
        </>
      )}
      <h4>Answers</h4>
      <Answers document={document} operation={operation} />
      <Problems operation={operation} />
    </div>
  );
}

function Parameters({ of }: { of: readonly Parameter[] }) {
  return (
    <dl className={styles.members}>
      {of.map(({ name, schema = {}, required = false, description, in: place }) => (
        <div key={`${place} ${name}`}>
          <dt>
            <code>{name}</code>{' '}
            <span className={styles.type}>
              {place}, {typeInWords(schema)}
            </span>
            {required && <span className={styles.required}> required</span>}
          </dt>
          <dd>{description}</dd>
        </div>
      ))}
    </dl>
  );
}

function Answers({ document, operation: { responses } }: { document: ApiDocument; operation: Operation }) {
  return Object.entries(responses)
    .filter(([status]) => Number(status) < 400)
    .map(([status, answer]) => {
      const content = contentOf(answer);
      return (
        <div key={status} className={styles.members}>
          <p>
            <strong>{status}</strong> {answer.description} {content === null ? '' : `(${content.type})`}
          </p>
          {content?.type.endsWith('json') === true && (
            <SchemaView document={document} schema={content.schema} isAnswer />
          )}
        </div>
      );
    });
}

function Problems({ operation }: { operation: Operation }) {
  const problems = problemsOf(operation);
  if (problems.length === 0) return null;
  return (
    <>
      <h4>Problems</h4>
      <ul className={styles.problems}>
        {problems.map(({ status, code }) => (
          <li key={`${status} ${code}`}>
            {status} <code>{code}</code>
          </li>
        ))}
      </ul>
    </>
  );
}
