import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate of a server, with its key. */
export interface Certificate {
  cert: string;
  key: string;
}

/** What is wrong with a certificate; `untrusted` was issued by a CA that nobody knows yet. */
export type CertificateFault = 'self-signed' | 'untrusted' | 'expired' | 'other-name';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem'];
const HERE = 'subjectAltName=IP:127.0.0.1';

/** Has certificates made by OpenSSL, for servers at 127.0.0.1. @returns the one of the CA, and one with each fault */
export function makeCertificates(): { ca: string } & Record<CertificateFault, Certificate> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-certificates-'));
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const issue = (name: string, days: number): Certificate => {
    openssl('req', '-new', ...NEW_KEY, '-subj', '/CN=server', '-addext', name, '-out', 'asked.pem');
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-copy_extensions', 'copy'];
    openssl('x509', '-req', '-in', 'asked.pem', ...by, '-days', `${days}`, '-out', 'cert.pem');
    return { cert: read('cert.pem'), key: read('key.pem') };
  };
  try {
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-days',
      '2',
      '-subj',
      '/CN=server',
      '-addext',
      HERE,
      '-out',
      'own.pem',
    );
    const own = { cert: read('own.pem'), key: read('key.pem') };
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca-key.pem',
      '-days',
      '2',
      '-subj',
      '/CN=ca',
      '-out',
      'ca.pem',
    );
    return {
      ca: read('ca.pem'),
      'self-signed': own,
      untrusted: issue(HERE, 2),
      expired: issue(HERE, -1),
      'other-name': issue('subjectAltName=DNS:elsewhere.example', 2),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
