import type { Incident } from '../simulate/world.ts';

/** What the collector said: something is wrong with a host, or with a service or container there. All times are Unix ms. */
export type Claim = {
  /** What said it: `silent`, `clock`, `boot`, … */
  readonly kind: string;
  readonly host: string;
  /** The service or container; null: the host itself. */
  readonly subject: string | null;
  readonly fromMs: number;
  readonly toMs: number;
  /** When a person could have read it. */
  readonly saidMs: number;
  /** When something will be full, or over; null: it says nothing of that. */
  readonly endsMs: number | null;
};

/** What befell the fleet, as `simulate.ts --truth` wrote it. */
export type Truth = {
  readonly hosts: number;
  readonly fromMs: number;
  readonly liveMs: number;
  readonly incidents: readonly Incident[];
};

export type Range = { readonly fromMs: number; readonly toMs: number };

/** `detectMs`: of those that were found, the time from their beginning to the first claim. `endMs`: how far off it was when they end. */
export type ScenarioScore = {
  readonly scenario: string;
  readonly incidents: number;
  readonly found: number;
  readonly detectMs: readonly number[];
  readonly endMs: readonly number[];
};
export type KindScore = { readonly kind: string; readonly claims: number; readonly right: number };

export type Score = {
  readonly scenarios: readonly ScenarioScore[];
  readonly kinds: readonly KindScore[];
  /** Of claims, those of an incident; of incidents, those that were found. NaN: there was none. */
  readonly precision: number;
  readonly recall: number;
  readonly falsePerHostDay: number;
};

/** What an incident leaves behind is said for a while. */
const GRACE_MS = 15 * 60_000;
/** Of one thing what is said again within this is said once. */
const FOLD_MS = 10 * 60_000;
const DAY_MS = 86_400_000;

/** The scenarios that a claim of a kind can be of; of any other kind: all. */
const TELLS: Readonly<Record<string, readonly string[]>> = {
  silent: ['flapping-host', 'reboot-storm', 'network-split', 'lost-region'],
  boot: ['reboot-storm', 'lost-region'],
  'oom-kill': ['memory-leak'],
  clock: ['clock-skew'],
  'container-died': ['restart-loop'],
  'container-oom': ['restart-loop'],
  'container-unhealthy': ['restart-loop'],
  'check-down': ['bad-deployment', 'certificate-expiry', 'slow-degradation'],
};

/**
 * Compares what was said in a range with what was true then. An incident of which nobody is to be told (it has no metrics) is no
 * incident: what is said of it is false.
 */
export function scoreClaims(truth: Truth, said: readonly Claim[], range: Range): Score {
  const incidents = truth.incidents.filter(
    ({ metrics, fromMs, toMs }) => metrics.length > 0 && fromMs < range.toMs && toMs > range.fromMs,
  );
  const claims = foldClaims(said.filter(({ fromMs, toMs }) => fromMs < range.toMs && toMs >= range.fromMs));
  const judged = claims.map((claim) => ({ claim, of: incidents.filter((incident) => isOf(claim, incident)) }));
  const right = judged.filter(({ of }) => of.length > 0).length;
  const found = incidents.map((incident) => {
    const own = judged.filter(({ of }) => of.includes(incident)).map(({ claim }) => claim);
    const { endsMs } = incident;
    return {
      scenario: incident.scenario,
      isFound: own.length > 0,
      detectMs: own.length === 0 ? [] : [Math.max(0, Math.min(...own.map(({ saidMs }) => saidMs)) - incident.fromMs)],
      endMs: endsMs === null ? [] : own.flatMap((claim) => (claim.endsMs === null ? [] : claim.endsMs - endsMs)),
    };
  });
  const hostDays = (truth.hosts * (range.toMs - range.fromMs)) / DAY_MS;
  return {
    scenarios: [...Map.groupBy(found, ({ scenario }) => scenario)].map(([scenario, own]) => ({
      scenario,
      incidents: own.length,
      found: own.filter(({ isFound }) => isFound).length,
      detectMs: own.flatMap(({ detectMs }) => detectMs),
      endMs: own.flatMap(({ endMs }) => endMs),
    })),
    kinds: [...Map.groupBy(judged, ({ claim }) => claim.kind)].map(([kind, own]) => ({
      kind,
      claims: own.length,
      right: own.filter(({ of }) => of.length > 0).length,
    })),
    precision: right / claims.length,
    recall: found.filter(({ isFound }) => isFound).length / found.length,
    falsePerHostDay: (claims.length - right) / hostDays,
  };
}

function isOf({ kind, host, subject, fromMs, toMs }: Claim, incident: Incident): boolean {
  const isOfKind = TELLS[kind]?.includes(incident.scenario) ?? true;
  const isThen = fromMs < incident.toMs + GRACE_MS && toMs >= incident.fromMs;
  const { hosts, services, containers, seenOn } = incident;
  const isThere =
    subject === null ? seenOn.includes(host) : [...services, ...containers].includes(subject) || hosts.includes(host);
  return isOfKind && isThen && isThere;
}

/** One after the other of the same are one, from the first to the last. */
function foldClaims(claims: readonly Claim[]): readonly Claim[] {
  const folded: Claim[] = [];
  const last = new Map<string, number>();
  for (const claim of claims.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const key = `${claim.kind} ${claim.host} ${claim.subject}`;
    const place = last.get(key);
    const before = place === undefined ? undefined : folded[place];
    if (place !== undefined && before !== undefined && claim.fromMs - before.toMs <= FOLD_MS)
      folded[place] = { ...before, toMs: Math.max(before.toMs, claim.toMs), endsMs: claim.endsMs ?? before.endsMs };
    else {
      last.set(key, folded.length);
      folded.push(claim);
    }
  }
  return folded;
}
