/*
 * Public keys that look well but protect nothing: anybody can compute the private key, or sign without it. An issuer
 * publishes one by a fault of the device or library that made it.
 */

/** NIST SP 800-56B section 6.2 demands an odd exponent above 2^16. Nobody uses one of more than 32 bits. */
const EXPONENT = { min: 2n ** 16n, max: 2n ** 32n };

/** NIST SP 800-89 section 5.3.3: a modulus has no factor below 752. */
const SMALL_PRIMES = primesBelow(752);

/** The steps of Fermat's method that a modulus must withstand, as the CA/Browser Forum demands (section 6.1.6). */
const FERMAT_STEPS = 100;

/**
 * True for an RSA key that can be broken: an even, small or huge exponent; an even modulus or one with a small factor;
 * primes that are equal or close; or a modulus of the faulty library of CVE-2017-15361 (ROCA).
 */
export function isWeakRsa(modulus: bigint, exponent: bigint): boolean {
  if (exponent <= EXPONENT.min || exponent >= EXPONENT.max || exponent % 2n === 0n) return true;
  return SMALL_PRIMES.some((prime) => modulus % BigInt(prime) === 0n) || isRoca(modulus) || isFermat(modulus);
}

/**
 * The faulty library makes primes `k * M + 65537^a mod M`, where M is a product of small primes. Every such modulus is a
 * power of 65537 modulo each of them; of other moduli, about one in 2^150 is.
 *
 * @see Nemec et al., "The Return of Coppersmith's Attack", section 2
 */
function isRoca(modulus: bigint): boolean {
  return ROCA_REMAINDERS.every(([prime, remainders]) => remainders.has(Number(modulus % BigInt(prime))));
}

/** The powers of 65537 modulo each of the first odd primes. */
const ROCA_REMAINDERS: readonly [prime: number, remainders: ReadonlySet<number>][] = SMALL_PRIMES.filter(
  (prime) => prime > 2 && prime <= 167,
).map((prime) => {
  const remainders = new Set<number>();
  for (let power = 1; !remainders.has(power); power = (power * 65_537) % prime) remainders.add(power);
  return [prime, remainders];
});

/** Whether two primes are so close that Fermat's method finds them. CVE-2022-26320 */
function isFermat(modulus: bigint): boolean {
  let middle = squareRoot(modulus);
  if (middle * middle < modulus) middle += 1n;
  for (let step = 0; step < FERMAT_STEPS; step += 1, middle += 1n) {
    const rest = middle * middle - modulus;
    if (!mayBeSquare(rest)) continue;
    const root = squareRoot(rest);
    if (root * root === rest) return true;
  }
  return false;
}

/** The remainders of squares modulo some numbers: they rule out nearly every other number without a root. */
const SQUARES = [64, 63, 65, 11].map((divisor) => ({
  divisor: BigInt(divisor),
  remainders: new Set(Array.from({ length: divisor }, (_, root) => (root * root) % divisor)),
}));

function mayBeSquare(value: bigint): boolean {
  return SQUARES.every(({ divisor, remainders }) => remainders.has(Number(value % divisor)));
}

/** The largest integer whose square is not above the value. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt(Math.ceil(value.toString(16).length / 2) * 4);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

function primesBelow(limit: number): number[] {
  const primes: number[] = [];
  for (let number = 2; number < limit; number += 1) {
    if (primes.every((prime) => number % prime !== 0)) primes.push(number);
  }
  return primes;
}

/**
 * The points of small order on Ed25519, without the sign bit, in all their encodings: anybody can make
 * signatures that fit such a key. RFC 8032 leaves it to the library whether it verifies them.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/** True for an Ed25519 key of small order. @param point the 32 bytes of the key */
export function isWeakEd25519(point: Buffer): boolean {
  const bytes = Buffer.from(point);
  bytes[31] = (bytes[31] ?? 0) & 0x7f;
  return SMALL_ORDER.has(bytes.toString('hex'));
}
