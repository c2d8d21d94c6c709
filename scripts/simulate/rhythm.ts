import { seededRandom } from '../random.ts';
import type { Region, Role } from './fleet.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 1970 began on a Thursday. */
const FIRST_WEEKDAY = 4;

/** When a role is busy, by the clocks of its region: the hour of its peak, how long that lasts, and what remains of it by night and at weekends. */
const RHYTHMS: Readonly<Record<Role, { peakHour: number; widthHours: number; night: number; weekend: number }>> = {
  web: { peakHour: 15, widthHours: 5, night: 0.2, weekend: 0.7 },
  cache: { peakHour: 15, widthHours: 5.5, night: 0.25, weekend: 0.75 },
  db: { peakHour: 14, widthHours: 5, night: 0.3, weekend: 0.6 },
  batch: { peakHour: 3, widthHours: 2, night: 0.06, weekend: 1 },
};

/** The share of its peak that is asked of a role, 0…1. */
export function demandAt(tMs: number, role: Role, { utcHours }: Region): number {
  const { peakHour, widthHours, night, weekend } = RHYTHMS[role];
  const localMs = tMs + utcHours * HOUR_MS;
  const hour = (localMs % DAY_MS) / HOUR_MS;
  const away = Math.abs(hour - peakHour);
  const distance = Math.min(away, 24 - away) / widthHours;
  const ofDay = night + (1 - night) * Math.exp(-0.5 * distance * distance);
  const weekday = (Math.floor(localMs / DAY_MS) + FIRST_WEEKDAY) % 7;
  return ofDay * (weekday === 0 || weekday === 6 ? weekend : 1);
}

/** Noise that takes about `periodMs` from one value to another; of mean 0 and deviation about 1. It follows from its seeds and the time alone. */
export function noiseAt(tMs: number, periodMs: number, ...seeds: readonly number[]): number {
  const place = tMs / periodMs;
  const before = Math.floor(place);
  const [from, to] = [before, before + 1].map((knot) => {
    const random = seededRandom(...seeds, knot);
    return 2 * (random() + random() + random() - 1.5);
  }) as [number, number];
  const share = (1 - Math.cos(Math.PI * (place - before))) / 2;
  return from + (to - from) * share;
}

/** Noise of mean 0 and deviation 1 that forgets where it was within about `memoryS`; moved on by steps of any length. */
export function makeDrift(memoryS: number, random: () => number): (elapsedS: number) => number {
  let value = 2 * (random() + random() + random() - 1.5);
  return (elapsedS) => {
    const kept = Math.exp(-elapsedS / memoryS);
    value = kept * value + Math.sqrt(1 - kept * kept) * 2 * (random() + random() + random() - 1.5);
    return value;
  };
}
